package main

import (
	"strings"
	"testing"

	"llmc/internal/clitest"
)

type benchedJSON struct {
	Function, Gives, Inputs string
	Batch, Prompt, Gen      int
	InputsPS                float64 `json:"inputs_ps"`
	PrefillTS               float64 `json:"prefill_tps"`
	DecodeTS                float64 `json:"decode_tps"`
}

// TestBenchOfEncoders measures each function for each length and batch: images have one length, texts that are cut behind a token are read whole.
func TestBenchOfEncoders(t *testing.T) {
	plan := buildShared(t, "clip")
	var rows []benchedJSON
	clitest.Run(t, "", "bench", plan, "--prompt", "5,9", "--batch", "1,70", "--repeat", "1", "--json").JSON(t, &rows)
	var got []string
	for _, r := range rows {
		got = append(got, strings.Join([]string{r.Function, r.Inputs, r.Gives}, " "))
		if per := r.PrefillTS / r.InputsPS; r.InputsPS <= 0 || int(per+0.5) != r.Prompt {
			t.Errorf("%+v: %v tokens each", r, per)
		}
	}
	want := "image images embedding,image images embedding" + strings.Repeat(",text texts embedding", 4)
	if strings.Join(got, ",") != want || rows[1].Batch != 70 || rows[1].Prompt != 17 || rows[5].Prompt != 9 {
		t.Errorf("%+v", rows)
	}
	var parts []struct{ Phase, Kernel string }
	clitest.Run(t, "", "bench", plan, "--explain", "--json").JSON(t, &parts)
	if len(parts) < 4 || parts[0].Phase != "image" || parts[len(parts)-1].Phase != "text" {
		t.Errorf("%+v", parts)
	}
	clitest.Run(t, "", "bench", plan, "--gen", "3").Refused(t, 1, "this one encodes")
	clitest.Run(t, "", "bench", plan, "--prompt", "500").Refused(t, 1, "function text, batch 1: sequences of 500 tokens: must be within 1..")
}

func TestBenchOfEncoderDecoders(t *testing.T) {
	plan := buildShared(t, "bart")
	var rows []benchedJSON
	clitest.Run(t, "", "bench", plan, "--prompt", "8,40", "--gen", "3", "--batch", "2", "--repeat", "1", "--json").JSON(t, &rows)
	if len(rows) != 2 || rows[1].Prompt != 40 || rows[1].Gen != 3 || rows[1].PrefillTS <= 0 || rows[1].DecodeTS <= 0 {
		t.Errorf("%+v", rows)
	}
	if table := clitest.Run(t, "", "bench", plan, "--explain", "--prompt", "8", "--gen", "3").Done(t); !strings.Contains(table, "encode") || !strings.Contains(table, "decode") {
		t.Errorf("%s", table)
	}
	clitest.Run(t, "", "bench", plan, "--draft", "ngram").Refused(t, 1, "measured without guesses")
}
