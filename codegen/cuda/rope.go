package cuda

// ropeThreads work on one token.
const ropeThreads = 128

func ropeKV(e *entry) {}
