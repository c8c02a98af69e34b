package tokenizer

// Bounds on what files and callers may ask for. Real tokenizers stay far below all of them.
const (
	maxFile       = 64 << 20 // bytes of one input file
	maxID         = 1 << 24  // ids are below
	maxToken      = 1 << 16  // bytes of a token of the vocabulary
	maxAdded      = 1 << 10  // bytes of an added token: each start of a match may read as many
	maxComponents = 128      // normalizers, pre-tokenizers, ... in one sequence
	maxNesting    = 16       // sequences within sequences
	maxTemplate   = 64       // pieces of a post-processor template
	maxText       = 1 << 28  // bytes of a text to encode
	maxGrowth     = 64       // a text may become so many times as long by normalizing, and maxToken more
	maxDecoded    = 4 << 20  // bytes of a token after a replacement in decoding
	maxSearched   = 1 << 10  // bytes of a token of a vocabulary that is searched by prefix
	maxTrieBytes  = 24 << 20 // bytes of all tokens of a vocabulary that is searched by prefix
)
