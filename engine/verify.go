package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// verifyPiece is how much is hashed between two looks at the context.
const verifyPiece = 1 << 20

// VerifyWeights compares every weight with its hash and names the first damaged one in the order of the file. It reads
// the file, not the mapping, so that a failing disk gives an error. progress may be nil; it is called from several goroutines.
func (p *Plan) VerifyWeights(ctx context.Context, threads int, progress func(done, total int64)) error {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	var total int64
	for i := range p.header.Weights {
		total += p.header.Weights[i].Bytes
	}
	var done, next atomic.Int64
	count := func(n int64) {
		if sum := done.Add(n); progress != nil {
			progress(sum, total)
		}
	}
	errs := make([]error, len(p.header.Weights))
	var wg sync.WaitGroup
	for range min(threads, len(errs)) {
		wg.Go(func() {
			piece := make([]byte, verifyPiece)
			for {
				i := int(next.Add(1) - 1)
				if i >= len(errs) || ctx.Err() != nil {
					return
				}
				errs[i] = p.verifyWeight(ctx, &p.header.Weights[i], piece, count)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
	}
	return nil
}

func (p *Plan) verifyWeight(ctx context.Context, w *WeightEntry, piece []byte, count func(int64)) error {
	hash := sha256.New()
	for at := int64(0); at < w.Bytes && ctx.Err() == nil; {
		b := piece[:min(int64(len(piece)), w.Bytes-at)]
		if _, err := p.file.ReadAt(b, p.base+w.Offset+at); err != nil {
			return fmt.Errorf("weight %s: %w", w.Name, err)
		}
		hash.Write(b)
		at += int64(len(b))
		count(int64(len(b)))
	}
	if ctx.Err() == nil && string(hash.Sum(nil)) != string(w.SHA256) {
		return fmt.Errorf("%w: weight %s (%d bytes at byte %d) does not have the hash that the header gives; fetch or build the plan again",
			ErrChecksum, w.Name, w.Bytes, p.base+w.Offset)
	}
	return nil
}

// Verify checks the whole file: every section and weight against its hash, every program, and that what lies between is zero.
func (p *Plan) Verify(ctx context.Context, threads int, progress func(done, total int64)) error {
	for i := range p.header.Sections {
		s := &p.header.Sections[i]
		if s.Kind == KindWeights {
			continue
		}
		data, err := p.readSection(s)
		if err == nil && (s.Kind == KindProgram || s.Kind == KindCardsProgram) {
			_, err = decodeProgram(s.Name, data, p.weights, &p.info)
		}
		if err == nil && s.Kind == KindCubin {
			_, err = decodeCubin(s.Name, data, &p.header)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
	}
	if err := p.verifyGaps(); err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	return p.VerifyWeights(ctx, threads, progress)
}

// verifyGaps wants zeros in all padding, so that no byte of the file escapes the digest.
func (p *Plan) verifyGaps() error {
	end := int64(prologueBytes) + p.headerBytes
	piece := make([]byte, verifyPiece)
	gap := func(to int64) error {
		for ; end < to; end += int64(len(piece)) {
			piece = piece[:min(int64(cap(piece)), to-end)]
			if _, err := p.file.ReadAt(piece, end); err != nil {
				return err
			}
			for i, c := range piece {
				if c != 0 {
					return fmt.Errorf("%w: padding at byte %d is not zero", ErrChecksum, end+int64(i))
				}
			}
		}
		return nil
	}
	for i := range p.header.Sections {
		s := &p.header.Sections[i]
		if err := gap(s.Offset); err != nil {
			return err
		}
		end = s.Offset + s.Size
		if s.Kind != KindWeights {
			continue
		}
		end = s.Offset
		for j := range p.header.Weights {
			w := &p.header.Weights[j]
			if err := gap(p.base + w.Offset); err != nil {
				return err
			}
			end = p.base + w.Offset + w.Bytes
		}
	}
	return gap(p.header.FileSize)
}
