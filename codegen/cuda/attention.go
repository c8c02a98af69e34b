package cuda

import "llmc/engine"

const attentionThreads = 128

func attentionGrid(e *entry) [3]engine.Extent { return grid() }

func attention(e *entry) {}

// attentionBlock is how many tokens of a sequence a CTA attends for, when group query heads share a KV head.
func attentionBlock(group int64) int64 { return max(1, 16/group) }
