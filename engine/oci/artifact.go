package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine"
)

// artifact is all that a plan becomes: an index over a manifest for all of it and one for each of its targets, whose layers are bytes of the one file; or the manifest
// of an image. The same plan gives the same bytes.
type artifact struct {
	root      ocispec.Descriptor // the index or the image, which gets the tag
	rootData  []byte
	manifests []document // those that the index names
	blobs     []content  // each once
	seen      map[digest.Digest]bool
}

// size is that of the blobs.
func (a *artifact) size() (total int64) {
	for i := range a.blobs {
		total += a.blobs[i].desc.Size
	}
	return total
}

// document is a manifest.
type document struct {
	desc ocispec.Descriptor
	data []byte
}

// content is a blob and where its bytes are.
type content struct {
	desc ocispec.Descriptor
	data io.ReaderAt // from 0 on
}

func (c *content) open(_ context.Context, from int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(c.data, from, c.desc.Size-from)), nil
}

// edition is a plan that is pushed: the whole one, or what a target needs of it.
type edition struct {
	part   *engine.Part
	target string // "" for all of a plan that has several, or none
}

// editionsOf lists what is pushed of a plan, all of it first. A target that needs all has no edition of its own.
func editionsOf(plan *engine.Plan) ([]edition, error) {
	whole, err := plan.Whole()
	if err != nil {
		return nil, err
	}
	editions := []edition{{part: whole}}
	built := targetsOf(plan)
	for _, name := range built {
		part, err := plan.Only(companions(name, built)...)
		if err != nil {
			return nil, err
		}
		if !part.Covers(plan) {
			editions = append(editions, edition{part, name})
		} else if editions[0].target == "" {
			editions[0].target = name
		}
	}
	return editions, nil
}

// targetsOf lists the targets of all programs.
func targetsOf(plan *engine.Plan) []string {
	var targets []string
	for _, f := range plan.Functions() {
		for _, t := range plan.Targets(f) {
			if !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	return targets
}

// companions are a target and the one that stands in for it where a card has an older driver.
func companions(name string, built []string) []string {
	t, err := engine.FindTarget(name)
	if err == nil && t.Exact && slices.Contains(built, t.Fallback) {
		return []string{name, t.Fallback}
	}
	return []string{name}
}

// assemble makes the artifact of a plan.
func assemble(ctx context.Context, plan *engine.Plan, cut Cut, count func(int64)) (*artifact, error) {
	editions, err := editionsOf(plan)
	if err != nil {
		return nil, err
	}
	member := memberships(editions)
	spans := cut.spans(editions[0].part, func(p engine.Piece) string { return member[pieceKey(p)] })
	sums, err := digestSpans(ctx, plan, spans, count)
	if err != nil {
		return nil, err
	}
	a := &artifact{seen: map[digest.Digest]bool{}}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, ArtifactType: ArtifactType,
		Annotations: map[string]string{planDigestKey: plan.Digest(), ocispec.AnnotationTitle: plan.Info().Name}}
	for i, v := range editions {
		d, err := a.describe(plan, v, byte('0'+i), spans, sums)
		if err != nil {
			return nil, err
		}
		index.Manifests = append(index.Manifests, d)
	}
	if a.rootData, err = json.Marshal(&index); err != nil {
		return nil, err
	}
	a.root = digestOf(ocispec.MediaTypeImageIndex, a.rootData)
	return a, nil
}

func pieceKey(p engine.Piece) string { return p.Kind + "\x00" + p.Name }

// memberships tells which editions have a piece: a character for each.
func memberships(editions []edition) map[string]string {
	member := map[string]string{}
	for i, v := range editions {
		for _, p := range v.part.Pieces {
			member[pieceKey(p)] += string(rune('0' + i))
		}
	}
	return member
}

// digestSpans hashes all layers.
func digestSpans(ctx context.Context, plan *engine.Plan, spans []span, count func(int64)) ([]digest.Digest, error) {
	sums := make([]digest.Digest, len(spans))
	err := each(ctx, len(spans), runtime.GOMAXPROCS(0), func(ctx context.Context, i int) (err error) {
		sums[i], err = digestPart(ctx, plan, spans[i].offset, spans[i].size, count)
		return err
	})
	return sums, err
}

// digestPart hashes size bytes from an offset on.
func digestPart(ctx context.Context, data io.ReaderAt, offset, size int64, count func(int64)) (digest.Digest, error) {
	sum := digest.SHA256.Digester()
	_, err := io.Copy(io.MultiWriter(sum.Hash(), counting(count)), contextReader{ctx, io.NewSectionReader(data, offset, size)})
	return sum.Digest(), err
}

// describe adds the manifest of an edition and its blobs.
func (a *artifact) describe(plan *engine.Plan, v edition, bit byte, spans []span, sums []digest.Digest) (ocispec.Descriptor, error) {
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType}
	layer := func(s *span, kind string, d digest.Digest, size int64, data io.ReaderAt) {
		name := fileName(len(m.Layers), s)
		desc := ocispec.Descriptor{MediaType: kind, Digest: d, Size: size,
			Annotations: map[string]string{ocispec.AnnotationTitle: name, filePathKey: name}}
		m.Layers = append(m.Layers, desc)
		a.add(desc, data)
	}
	head := v.part.Head
	layer(&span{}, weightConfigType, digest.FromBytes(head), int64(len(head)), bytes.NewReader(head))
	for i := range spans {
		s := &spans[i]
		if !strings.Contains(s.members, string(rune(bit))) || s.size == 0 {
			continue
		}
		kind := layerTypes[s.kind]
		if kind == "" {
			kind = weightConfigType
		}
		layer(s, kind, sums[i], s.size, io.NewSectionReader(plan, s.offset, s.size))
	}
	config, err := json.Marshal(describeModel(plan, m.Layers))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m.Config = digestOf(configType, config)
	a.add(m.Config, bytes.NewReader(config))
	m.Annotations = v.annotations(plan)
	data, err := json.Marshal(&m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := digestOf(ocispec.MediaTypeImageManifest, data)
	a.manifests = append(a.manifests, document{d, data})
	d.ArtifactType, d.Annotations = ArtifactType, m.Annotations
	if t, err := engine.FindTarget(v.target); err == nil {
		d.Platform = platformOf(t)
	}
	return d, nil
}

func (v *edition) annotations(plan *engine.Plan) map[string]string {
	var targets []string
	for _, s := range v.part.Header.Sections {
		if _, target, ok := strings.Cut(s.Name, "/"); ok && s.Kind == engine.KindProgram && !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	notes := map[string]string{planDigestKey: v.part.Digest, planSizeKey: strconv.FormatInt(v.part.Header.FileSize, 10), ocispec.AnnotationTitle: plan.Info().Name}
	if len(targets) > 0 {
		notes[targetsKey] = strings.Join(targets, ",")
	}
	if v.target != "" {
		notes[targetKey] = v.target
	}
	return notes
}

// add notes a blob, once.
func (a *artifact) add(d ocispec.Descriptor, data io.ReaderAt) {
	if !a.seen[d.Digest] {
		a.seen[d.Digest] = true
		a.blobs = append(a.blobs, content{d, data})
	}
}

// each calls do for 0 to n-1, so many at once, and returns the first error, which ends the others.
func each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
