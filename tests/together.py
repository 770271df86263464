"""What several files of tests need: functions run by threads at once, and a sweep's numbers."""
import sys
import threading
from contextlib import contextmanager


@contextmanager
def often_switched():
    """Threads take turns in the middle of anything."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def in_threads(functions):
    """Run all at once; their results. Raises the first error of any."""
    results, errors = [None] * len(functions), []
    start = threading.Barrier(len(functions))

    def run(i):
        start.wait()
        try:
            results[i] = functions[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[i]) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error
    return results


def swept(total, *values):
    """The data of total, and the gradients of the values."""
    for value in values:
        value.grad = 0
    total.backward()
    return total.data, *[value.grad for value in values]
