package buildcache

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
)

// Codes are what a calibration has found: codes/KEY/codes holds a byte for each code, codes/KEY/index what these are of.
type Codes struct {
	File  *os.File
	Index []byte
	lock  *os.File
}

// codesRecord has the hashes of the two files.
type codesRecord struct {
	Codes string `json:"codes"`
	Index string `json:"index"`
}

const (
	codesName     = "codes"
	indexName     = "index"
	maxIndexBytes = 1 << 30
)

// FindCodes returns the codes of a key; nil where there are none that are as they were kept.
func (c *Cache) FindCodes(key string) *Codes {
	var record codesRecord
	dir, lock := hold(c.codes, key, codesName, &record)
	if lock == nil {
		return nil
	}
	found, err := c.openCodes(dir, &record)
	if err != nil {
		lock.Close()
		return nil
	}
	found.lock = lock
	return found
}

func (c *Cache) openCodes(dir string, record *codesRecord) (*Codes, error) {
	now, err := c.sumCodes(dir)
	if err != nil {
		return nil, err
	}
	if now != *record {
		return nil, errors.New("changed since it was kept")
	}
	index, err := cli.ReadFile(filepath.Join(dir, indexName), maxIndexBytes)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(dir, codesName))
	return &Codes{File: file, Index: index}, err
}

func (c *Cache) sumCodes(dir string) (r codesRecord, err error) {
	for _, f := range []struct {
		name string
		sum  *string
	}{{codesName, &r.Codes}, {indexName, &r.Index}} {
		sum, err := c.SumOf(filepath.Join(dir, f.name))
		if err != nil {
			return r, err
		}
		*f.sum = hex.EncodeToString(sum[:])
	}
	return r, nil
}

// Close lets the codes go.
func (c *Codes) Close() error { return errors.Join(c.File.Close(), c.lock.Close()) }

// KeepCodes takes in the codes in a file, which it copies, and their index.
func (c *Cache) KeepCodes(ctx context.Context, key, file string, index any) (err error) {
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(index); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	dir, lock, err := fill(ctx, c.codes, key, info.Size()+int64(encoded.Len()))
	if lock == nil {
		return err
	}
	defer release(dir, lock, &err)
	if err := put(file, dir, codesName, engine.CopyFile); err != nil {
		return err
	}
	if err := cachedir.WriteWhole(filepath.Join(dir, indexName), encoded.Bytes()); err != nil {
		return err
	}
	for _, name := range []string{codesName, indexName} { // so that their hashes are known from now on
		if _, err := cachedir.Settle(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	record, err := c.sumCodes(dir)
	if err != nil {
		return err
	}
	return saveRecord(dir, record)
}

// DecodeIndex reads an index into a value of the kind that it was made of.
func DecodeIndex(data []byte, index any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(index)
}
