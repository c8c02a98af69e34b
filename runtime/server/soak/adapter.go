package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// writeAdapter writes an adapter of made-up numbers for the bundled model's query projections, in PEFT's layout.
func writeAdapter(dir string, seed uint64) error {
	const layers, hidden, rank, number = 4, 256, 4, 4 // float32
	r := rand.New(rand.NewPCG(seed, 1))
	header, data := map[string]any{}, []byte(nil)
	add := func(name string, rows, cols int, size float64) {
		begin := len(data)
		for range rows * cols {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(size*r.NormFloat64())))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": []int{rows, cols}, "data_offsets": []int{begin, begin + number*rows*cols}}
	}
	for layer := range layers {
		name := fmt.Sprintf("base_model.model.model.layers.%d.self_attn.q_proj.", layer)
		add(name+"lora_A.weight", rank, hidden, 1/math.Sqrt(hidden))
		add(name+"lora_B.weight", hidden, rank, 0.5/math.Sqrt(rank))
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{"peft_type": "LORA", "r": rank, "lora_alpha": rank})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), config, 0o644); err != nil {
		return err
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	return os.WriteFile(filepath.Join(dir, "adapter_model.safetensors"), append(file, data...), 0o644)
}
