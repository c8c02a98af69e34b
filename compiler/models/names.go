package models

// names are those of a family's tensors, without ".weight" and ".bias". Those of a layer follow layers and the layer's number. Empty: there
// is no such part.
type names struct {
	table, positions, embedNorm string // of token embeddings, of learned positions, of their norm
	types                       string // of learned embeddings of types of tokens
	layers                      string
	norm, head                  string

	preAttn, postAttn string // norms of what attention reads, and of what it gives
	preMLP, postMLP   string // of the MLP likewise; in parallel blocks without preMLP it reads what attention reads
	q, k, v           string
	qkv               string // all three in one
	qNorm, kNorm      string
	o                 string
	qA, qANorm, qB    string // of latent attention: queries by way of a row that heads share
	kvA, kvANorm, kvB string // the row that keys and values are made of, and what makes them
	gate, up, down    string
	gateUp            string // the first two in one, gate's rows first

	cross    crossing // of a decoder that attends to an encoder's rows
	headBias string   // what is added to logits, stored as a row; otherwise it is the head's
	aliases  []string // names for table of which a checkpoint may have one in its place
}

// llamaNames are those that most families have.
var llamaNames = names{
	table: "model.embed_tokens", layers: "model.layers.", norm: "model.norm", head: "lm_head",
	preAttn: "input_layernorm", preMLP: "post_attention_layernorm",
	q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.o_proj",
	qNorm: "self_attn.q_norm", kNorm: "self_attn.k_norm",
	gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj",
}

// with returns n with what change sets.
func (n names) with(change func(n *names)) names {
	change(&n)
	return n
}
