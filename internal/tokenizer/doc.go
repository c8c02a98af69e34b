// Package tokenizer turns text into token ids and back, exactly as the HuggingFace tokenizers library does with the
// same files. It owns tokenizer.json and the files around it, the four models (BPE, Unigram, WordPiece, WordLevel)
// with everything before and after them, incremental decoding, and the binary form that plans store. It must not
// know of models, chat templates or requests.
//
// Encoding is a pipeline: added tokens are cut out of the text, the pieces between them are normalized, cut at the
// added tokens that match normalized text, split into words by the pre-tokenizers, and each word becomes ids by the
// model; the post-processor puts special tokens around the result. Where the library has an oddity that shows in
// ids or text, it is kept and the place says so; versions 0.22 and 0.23 were compared.
//
// Files and plans are untrusted: sizes are bounded, nothing is quadratic, and what cannot be reproduced (dropout) is
// refused when loading. A Tokenizer never changes and may be used by many goroutines.
package tokenizer
