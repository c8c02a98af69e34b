package hf

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// The names under which weights lie.
const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

const (
	maxIndexBytes = 64 << 20
	maxShards     = 4096
)

// index is model.safetensors.index.json: which shard holds each tensor.
type index struct {
	shardOf map[string]string
	shards  []string // sorted
}

func readIndex(dir string) (*index, error) {
	f, size, err := openRegular(dir, indexFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxIndexBytes {
		return nil, fileError(indexFile, "%d bytes, at most %d", size, maxIndexBytes)
	}
	return parseIndex(f)
}

func parseIndex(text io.Reader) (*index, error) {
	r := newJSONReader(indexFile, text, maxHeaderValues)
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('{') {
		return nil, r.at("must be a JSON object")
	}
	var ix *index
	err = r.eachKey(func(key string) error {
		if key != "weight_map" {
			return r.skip(1)
		}
		if ix != nil {
			return fieldError(indexFile, key, "is given twice")
		}
		ix = &index{shardOf: map[string]string{}}
		return ix.parse(r)
	})
	if err != nil {
		return nil, err
	}
	if ix == nil || len(ix.shards) == 0 {
		return nil, fieldError(indexFile, "weight_map", "is missing or empty")
	}
	slices.Sort(ix.shards)
	return ix, r.end()
}

func (ix *index) parse(r *jsonReader) error {
	tok, err := r.token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return fieldError(indexFile, "weight_map", "must be an object")
	}
	names := map[string]string{} // shards seen, so that each name is kept once
	return r.eachKey(func(tensor string) error {
		tok, err := r.token()
		if err != nil {
			return err
		}
		shard, ok := tok.(string)
		if !ok {
			return tensorError(indexFile, tensor, "must be mapped to a file's name")
		}
		if _, ok := ix.shardOf[tensor]; ok {
			return tensorError(indexFile, tensor, "is listed twice")
		}
		if len(ix.shardOf) >= maxTensors {
			return r.at("more than %d tensors", maxTensors)
		}
		if _, ok := names[shard]; !ok {
			if err := checkShardName(tensor, shard); err != nil {
				return err
			}
			if len(names) >= maxShards {
				return r.at("more than %d shards", maxShards)
			}
			names[shard] = shard
			ix.shards = append(ix.shards, shard)
		}
		ix.shardOf[tensor] = names[shard]
		return nil
	})
}

// checkShardName confines shards to the checkpoint's directory.
func checkShardName(tensor, shard string) error {
	if strings.ContainsAny(shard, "\\\x00") || !filepath.IsLocal(filepath.FromSlash(shard)) {
		return tensorError(indexFile, tensor, "file %q is outside the checkpoint's directory", clip(shard))
	}
	if !strings.HasSuffix(shard, ".safetensors") {
		return tensorError(indexFile, tensor, "file %q is not a .safetensors file", clip(shard))
	}
	return nil
}
