import itertools
for n in itertools.count():
    with open('f%d' % n, 'wb') as f: f.write(b'x' * 1_000_000)
