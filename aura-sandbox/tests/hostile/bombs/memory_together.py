# Each stays below the limit; together they are twice as large.
import os, time
for _ in range(6):
    if os.fork() == 0:
        x = bytearray(b'x' * 100_000_000)
        time.sleep(60)
        os._exit(0)
time.sleep(1)
