package compiler

import (
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
)

// info is what the runtime has to know of the model. Its name is that of the family: a directory's name would make the plan's
// bytes depend on where the checkpoint lies; whoever serves a plan may call it as he likes.
func (b *build) info(bits float64, parameters int64) (engine.ModelInfo, error) {
	m := &b.model.Info
	info := engine.ModelInfo{
		Name: m.Family, Family: m.Family, Vocab: m.Vocab, Hidden: m.Hidden, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim,
		Parameters: parameters, MaxContext: int(m.MaxContext), Quant: b.formatName(), BitsPerW: bits, BOS: -1, RopeSalt: m.RopeSalt, LoraRank: b.LoraRank,
	}
	if m.Image != nil && m.Insert == nil {
		info.Encoder = comparedInfo(m, info.MaxContext)
	}
	if m.Insert != nil {
		info.Insert = &engine.InsertInfo{Token: m.Insert.Token, Skip: m.Insert.Skip}
	}
	if b.model.Module.Func(models.EmbedFunc) != nil {
		info.Encoder = encoderInfo(b.checkpoint.Sentence, info.MaxContext)
	}
	g := b.checkpoint.Generation
	if g == nil {
		g = &hf.Generation{}
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
	var err error
	if m.Encodes {
		info.Source, err = b.source(g)
	}
	return info, err
}

// source says how the outputs of an encoder-decoder begin and end.
func (b *build) source(g *hf.Generation) (*engine.SourceInfo, error) {
	start := g.DecoderStart
	if start == nil {
		start = g.BOS // as transformers takes it
	}
	if start == nil {
		return nil, b.checkpoint.Config.Errorf("decoder_start_token_id", "is missing, and there is no bos_token_id: no output can begin")
	}
	s := &engine.SourceInfo{}
	for _, row := range []struct {
		key string
		id  *int32
		to  *[]int32
	}{{"decoder_start_token_id", start, &s.Start}, {"forced_bos_token_id", g.ForcedBOS, &s.First}, {"forced_eos_token_id", g.ForcedEOS, &s.Last}} {
		if row.id == nil {
			continue
		}
		if *row.id < 0 || int(*row.id) >= b.model.Info.Vocab {
			return nil, b.checkpoint.Config.Errorf(row.key, "%d is not in the vocabulary of %d", *row.id, b.model.Info.Vocab)
		}
		*row.to = []int32{*row.id}
	}
	return s, nil
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

// comparedInfo is how texts become sequences that are compared with images.
func comparedInfo(m *models.Info, context int) *engine.EncoderInfo {
	e := &engine.EncoderInfo{MaxTokens: context}
	if t := m.Text; t != nil {
		e.MaxTokens, e.PadTo, e.Pad, e.End, e.EndID = t.MaxTokens, t.PadTo, t.Pad, t.End, t.EndID
	}
	setCompared(e, m)
	return e
}

// setCompared fills in the trained numbers by which images and texts are compared.
func setCompared(e *engine.EncoderInfo, m *models.Info) {
	for _, number := range []struct {
		from *float64
		to   *float64
	}{{m.LogitScale, &e.LogitScale}, {m.LogitBias, &e.LogitBias}} {
		if number.from != nil {
			*number.to = *number.from
		}
	}
}
