package engine

// ModelInfo is what serving has to know of the model besides its programs.
type ModelInfo struct {
	Name       string  `msgpack:"name" json:"name"`
	Family     string  `msgpack:"family" json:"family"` // model_type of config.json
	Vocab      int     `msgpack:"vocab" json:"vocab"`
	Hidden     int     `msgpack:"hidden" json:"hidden"`
	Layers     int     `msgpack:"layers" json:"layers"`
	Heads      int     `msgpack:"heads" json:"heads"`
	KVHeads    int     `msgpack:"kv_heads" json:"kv_heads"`
	HeadDim    int     `msgpack:"head_dim" json:"head_dim"`
	Parameters int64   `msgpack:"parameters" json:"parameters"`
	MaxContext int     `msgpack:"max_context" json:"max_context"` // max_position_embeddings
	Quant      string  `msgpack:"quant" json:"quant"`             // format of the linear weights
	BitsPerW   float64 `msgpack:"bits_per_weight" json:"bits_per_weight"`
	BOS        int32   `msgpack:"bos" json:"bos"` // -1: none
	EOS        []int32 `msgpack:"eos,omitempty" json:"eos"`
	// RopeSalt names what besides the tokens decides a cached key or value: "" normally; "longrope:N" where prompts
	// longer than N use other frequencies; "dynamic:N" where every length above N has its own.
	RopeSalt string `msgpack:"rope_salt,omitempty" json:"rope_salt,omitempty"`
	// LoraRank is the largest rank of adapters that the plan was built to be served with; 0: nothing was said.
	LoraRank int `msgpack:"lora_rank,omitempty" json:"lora_rank,omitempty"`
	// Generation holds generation_config.json's sampling defaults.
	Generation GenerationDefaults `msgpack:"generation" json:"generation"`
	Encoder    *EncoderInfo       `msgpack:"encoder,omitempty" json:"encoder,omitempty"` // nil: the model generates
	Source     *SourceInfo        `msgpack:"source,omitempty" json:"source,omitempty"`   // nil: tokens attend to each other alone
	Image      *ImageSettings     `msgpack:"image,omitempty" json:"image,omitempty"`     // nil: the model reads no images
	Adapter    *AdapterInfo       `msgpack:"adapter,omitempty" json:"adapter,omitempty"` // nil: the plan is a model
	Insert     *InsertInfo        `msgpack:"insert,omitempty" json:"insert,omitempty"`   // nil: it reads none among tokens
}

// SourceInfo is for models whose prompts are encoded: what they say begins with tokens of its own.
type SourceInfo struct {
	Start []int32 `msgpack:"start" json:"start"`                     // that every output comes behind; not part of it
	First []int32 `msgpack:"first,omitempty" json:"first,omitempty"` // that every output begins with
	Last  []int32 `msgpack:"last,omitempty" json:"last,omitempty"`   // that end an output which gets no longer
}

// GenerationDefaults are used for what a request leaves open. A nil field was not in the checkpoint.
type GenerationDefaults struct {
	DoSample          *bool    `msgpack:"do_sample,omitempty" json:"do_sample,omitempty"`
	Temperature       *float32 `msgpack:"temperature,omitempty" json:"temperature,omitempty"`
	TopK              *int32   `msgpack:"top_k,omitempty" json:"top_k,omitempty"`
	TopP              *float32 `msgpack:"top_p,omitempty" json:"top_p,omitempty"`
	MinP              *float32 `msgpack:"min_p,omitempty" json:"min_p,omitempty"`
	RepetitionPenalty *float32 `msgpack:"repetition_penalty,omitempty" json:"repetition_penalty,omitempty"`
	MaxNewTokens      *int32   `msgpack:"max_new_tokens,omitempty" json:"max_new_tokens,omitempty"`
}
