package compiler

import (
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
)

// info is what the runtime has to know of the model. Its name is that of the family: a directory's name would make the plan's
// bytes depend on where the checkpoint lies; whoever serves a plan may call it as he likes.
func (b *build) info(bits float64, parameters int64) engine.ModelInfo {
	m := &b.model.Info
	info := engine.ModelInfo{
		Name: m.Family, Family: m.Family, Vocab: m.Vocab, Hidden: m.Hidden, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim,
		Parameters: parameters, MaxContext: int(m.MaxContext), Quant: b.formatName(), BitsPerW: bits, BOS: -1, RopeSalt: m.RopeSalt,
	}
	if b.model.Module.Func(models.EmbedFunc) != nil {
		info.Encoder = encoderInfo(b.checkpoint.Sentence, info.MaxContext)
	}
	g := b.checkpoint.Generation
	if g == nil {
		return info
	}
	// Ids outside the vocabulary name tokens that the model can not see or say.
	if g.BOS != nil && *g.BOS >= 0 && int(*g.BOS) < m.Vocab {
		info.BOS = *g.BOS
	}
	for _, id := range g.EOS {
		if int(id) < m.Vocab {
			info.EOS = append(info.EOS, id)
		}
	}
	info.Generation = engine.GenerationDefaults{
		DoSample: g.DoSample, Temperature: g.Temperature, TopK: g.TopK, TopP: g.TopP, MinP: g.MinP,
		RepetitionPenalty: g.RepetitionPenalty, MaxNewTokens: g.MaxNewTokens,
	}
	return info
}

// encoderInfo is how texts become sequences; s is nil where no file says so.
func encoderInfo(s *hf.Sentence, context int) *engine.EncoderInfo {
	e := &engine.EncoderInfo{MaxTokens: context}
	if s == nil {
		return e
	}
	if s.Length > 0 {
		e.MaxTokens = min(s.Length, context)
	}
	for _, p := range s.Prompts {
		e.Prompts = append(e.Prompts, engine.Prompt{Name: p.Name, Text: p.Text})
	}
	e.Default = s.Default
	return e
}
