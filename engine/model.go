package engine

// ModelInfo is what serving has to know of the model besides its programs.
type ModelInfo struct {
	Name       string  `msgpack:"name"`
	Family     string  `msgpack:"family"` // model_type of config.json
	Vocab      int     `msgpack:"vocab"`
	Hidden     int     `msgpack:"hidden"`
	Layers     int     `msgpack:"layers"`
	Heads      int     `msgpack:"heads"`
	KVHeads    int     `msgpack:"kv_heads"`
	HeadDim    int     `msgpack:"head_dim"`
	Parameters int64   `msgpack:"parameters"`
	MaxContext int     `msgpack:"max_context"` // max_position_embeddings
	Quant      string  `msgpack:"quant"`       // format of the linear weights
	BitsPerW   float64 `msgpack:"bits_per_weight"`
	BOS        int32   `msgpack:"bos"` // -1: none
	EOS        []int32 `msgpack:"eos"`
	// RopeSalt names what besides the tokens decides a cached key or value: "" normally; "longrope:N" where prompts
	// longer than N use other frequencies; "dynamic:N" where every length above N has its own.
	RopeSalt string `msgpack:"rope_salt,omitempty"`
	// Generation holds generation_config.json's sampling defaults.
	Generation GenerationDefaults `msgpack:"generation"`
}

// GenerationDefaults are used for what a request leaves open. A nil field was not in the checkpoint.
type GenerationDefaults struct {
	DoSample          *bool    `msgpack:"do_sample,omitempty"`
	Temperature       *float32 `msgpack:"temperature,omitempty"`
	TopK              *int32   `msgpack:"top_k,omitempty"`
	TopP              *float32 `msgpack:"top_p,omitempty"`
	MinP              *float32 `msgpack:"min_p,omitempty"`
	RepetitionPenalty *float32 `msgpack:"repetition_penalty,omitempty"`
	MaxNewTokens      *int32   `msgpack:"max_new_tokens,omitempty"`
}
