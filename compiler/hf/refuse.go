package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// foreign lists what people keep weights in and this program does not read, the first match counts.
var foreign = []struct{ pattern, what, advice string }{
	{"adapter_model.safetensors", "a LoRA adapter without its base model", "give the base model's directory"},
	{"adapter_model.bin", "a LoRA adapter without its base model", "give the base model's directory"},
	{"consolidated*.safetensors", "weights in their author's own layout", "use the model's version for transformers (model.safetensors)"},
	{"*.bin", "a pickle, which can run code when it is read", saveAgain},
	{"*.pt", "a pickle, which can run code when it is read", saveAgain},
	{"*.pth", "a pickle, which can run code when it is read", saveAgain},
	{"*.ckpt", "a pickle, which can run code when it is read", saveAgain},
	{"*.pkl", "a pickle, which can run code when it is read", saveAgain},
	{"*.gguf", "GGUF, beside or without what this command reads", "give llmc build the file's path"},
	{"*.onnx", "an ONNX graph, in which the model's structure is no longer known", "use the checkpoint that it was exported from"},
	{"*.h5", "TensorFlow or Keras weights, whose names and orders of axes differ", saveAgain},
	{"*.keras", "Keras weights, whose names and orders of axes differ", saveAgain},
	{"saved_model.pb", "a TensorFlow graph", saveAgain},
	{"*.tflite", "a TensorFlow Lite graph", saveAgain},
	{"*.msgpack", "JAX (Flax) weights, whose names and orders of axes differ", saveAgain},
	{"*.npz", "NumPy or JAX arrays without a known layout", saveAgain},
	{"*.nemo", "a NeMo archive", saveAgain},
	{"*.safetensors", "safetensors under a name that transformers does not use", "name it model.safetensors, or add model.safetensors.index.json"},
}

const saveAgain = "load it with transformers and save_pretrained(safe_serialization=True)"

// ErrForeign is the cause of errors about weights in a format that is not read.
var ErrForeign = errors.New("not a format that is read")

// refuseWeights explains why a directory has no weights to read.
func refuseWeights(dir string) error {
	names, err := listFiles(dir)
	if err != nil {
		return err
	}
	return refuseNames(names)
}

// refuseNames explains why files with these names are no weights to read.
func refuseNames(names []string) error {
	for _, f := range foreign {
		for _, name := range names {
			if ok, _ := path.Match(f.pattern, name); ok {
				return fileError(name, "%w: it is %s; %s", ErrForeign, f.what, f.advice)
			}
		}
	}
	return fileError(singleFile, "there are no weights: neither this file nor %s", indexFile)
}

// refuseMissing explains why a path that does not exist is not a checkpoint.
func refuseMissing(dir string) error {
	if !strings.ContainsAny(dir, `/\`) {
		return fmt.Errorf("model directory %s does not exist; a model of the Hub is given as org/name", dir)
	}
	return fmt.Errorf("model directory %s does not exist", dir)
}

// selfContained are the foreign files that come without a config.json.
var selfContained = []string{"*.gguf", "adapter_model.safetensors", "adapter_model.bin"}

// refuseConfig explains why a directory without config.json is not a checkpoint.
func refuseConfig(dir string, names []string) error {
	for _, f := range foreign {
		for _, name := range names {
			if ok, _ := path.Match(f.pattern, name); ok && slices.Contains(selfContained, f.pattern) {
				return fileError(name, "%w: it is %s; %s", ErrForeign, f.what, f.advice)
			}
		}
	}
	return fileError(ConfigFile, "is missing; %s is not a model directory", dir)
}

// refuseFile explains why a path that is not a directory is not a checkpoint.
func refuseFile(name string) error {
	name = filepath.Base(name)
	for _, f := range foreign {
		if ok, _ := path.Match(f.pattern, name); ok && f.pattern != "*.safetensors" {
			return fileError(name, "%w: it is %s; %s", ErrForeign, f.what, f.advice)
		}
	}
	return fileError(name, "is a file; give the directory that holds config.json and the weights")
}

// maxFiles bounds the listing of a checkpoint's directory.
const maxFiles = 1 << 16

// listFiles returns the names of the files of dir, sorted.
func listFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("model directory: %w", err)
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("model directory: %d entries, at most %d", len(entries), maxFiles)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// cause drops the path from a file error: messages name files by their place in the checkpoint.
func cause(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
