package hf

import (
	"slices"
	"testing"
)

const (
	threeModules = `[{"type":"sentence_transformers.models.Transformer","path":""},{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"},{"type":"x.Normalize","path":"2_Normalize"}]`
	meanPooling  = `{"word_embedding_dimension":4,"pooling_mode_mean_tokens":true}`
)

// sentenceOf opens a checkpoint with files of sentence-transformers.
func sentenceOf(t *testing.T, files map[string]string) (*Sentence, error) {
	t.Helper()
	all := map[string]string{ConfigFile: `{"model_type":"bert"}`}
	for name, text := range files {
		all[name] = text
	}
	c, err := OpenRandom(directory(t, all), 1)
	if err != nil {
		return nil, err
	}
	return c.Sentence, nil
}

func TestSentence(t *testing.T) {
	if s, err := sentenceOf(t, nil); s != nil || err != nil {
		t.Errorf("without files: %+v, %v", s, err)
	}
	s, err := sentenceOf(t, map[string]string{
		modulesFile: threeModules, "1_Pooling/config.json": meanPooling, lengthFile: `{"max_seq_length":64,"do_lower_case":false}`,
		promptsFile: `{"prompts":{"query":"q: ","document":""},"default_prompt_name":"query"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Pooling != "mean" || !s.Normalize || s.Length != 64 || s.Default != "query" || !slices.Equal(s.Prompts, []Prompt{{"query", "q: "}, {"document", ""}}) {
		t.Errorf("%+v", s)
	}
	s, err = sentenceOf(t, map[string]string{modulesFile: threeModules, "1_Pooling/config.json": `{"pooling_mode":"lasttoken"}`})
	if err != nil || s.Pooling != "last" || s.Length != 0 || s.Default != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSentenceRefusals(t *testing.T) {
	for _, c := range []struct{ modules, pooling, length, prompts, text string }{
		{modules: `{}`, text: "modules.json: holds an object instead of a list of modules"},
		{modules: `[]`, text: "modules.json: holds"},
		{modules: `[1]`, text: "modules.json: entry 0 is 1 instead of an object"},
		{modules: `[{"type":"a.Transformer"}] x`, text: "more text after the JSON"},
		{modules: `[{"type":"a.Transformer"},{"type":"a.Dense"}]`, text: `modules.json: type: module "Dense" is not supported`},
		{modules: `[{"type":"a.Pooling"}]`, text: "modules.json: type: module 0 is Pooling"},
		{modules: `[{"type":"a.Transformer"},{"type":"a.Transformer"}]`, text: "modules.json: type: module 1 is Transformer"},
		{modules: `[{"type":"a.Transformer"},{"type":"a.Normalize"}]`, text: "Normalize comes before Pooling"},
		{modules: `[{"type":"a.Transformer"}]`, text: "has no module Pooling"},
		{modules: `[{"type":"a.Transformer"},{"type":"a.Pooling","path":"../x"}]`, text: `modules.json: path: "../x" is not the name of a directory`},
		{modules: `[{"type":"a.Transformer"},{"type":"a.Pooling","path":"9_Pooling"}]`, text: "9_Pooling/config.json: is missing"},
		{pooling: `{"pooling_mode_max_tokens":true}`, text: "1_Pooling/config.json: pooling_mode_max_tokens: is not supported"},
		{pooling: `{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true}`, text: "is set beside another mode"},
		{pooling: `{"pooling_mode":"max"}`, text: `1_Pooling/config.json: pooling_mode: "max" is not supported`},
		{pooling: `{}`, text: "no pooling mode is set"},
		{pooling: `{"pooling_mode_mean_tokens":true,"include_prompt":false}`, text: "include_prompt: false is not supported"},
		{length: `{"max_seq_length":0}`, text: "sentence_bert_config.json: max_seq_length: 0 is outside"},
		{length: `{"do_lower_case":true}`, text: "do_lower_case: true is not supported"},
		{prompts: `{"prompts":{"a":1}}`, text: "config_sentence_transformers.json: prompts.a: must be a string"},
		{prompts: `{"prompts":{"a":"x"},"default_prompt_name":"b"}`, text: `default_prompt_name: there is no prompt "b"`},
	} {
		files := map[string]string{modulesFile: threeModules, "1_Pooling/config.json": meanPooling}
		for name, text := range map[string]string{modulesFile: c.modules, "1_Pooling/config.json": c.pooling, lengthFile: c.length, promptsFile: c.prompts} {
			if text != "" {
				files[name] = text
			}
		}
		_, err := sentenceOf(t, files)
		wantError(t, err, c.text)
	}
}
