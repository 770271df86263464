/* Coverage of the engine for libFuzzer, by gcc: put before _core.c with -include when compiling
   with -fsanitize-coverage=trace-pc. Every place in the code that is reached counts in one of
   these; fuzz.py tells libFuzzer where they are. */
enum { PLACES = 1 << 14 };
unsigned char coverage_counters[PLACES];
const int coverage_places = PLACES;

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void) {
    static const char base;
    unsigned long place = (unsigned long)__builtin_return_address(0) - (unsigned long)&base;
    coverage_counters[(place * 0x9E3779B97F4A7C15ul) >> 50]++;
}
