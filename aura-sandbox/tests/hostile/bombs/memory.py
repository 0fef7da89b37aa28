x = []
while True: x.append(bytearray(b'x' * 10_000_000))
