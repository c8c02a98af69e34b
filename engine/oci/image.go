package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine"
)

// imageDir is where a plan lies in an image: the directory that KServe mounts of one.
const imageDir = "models/"

// PushImage stores a plan as an image that clusters mount as a volume: one layer, an archive that holds models/NAME. Only one file can be in a layer as a whole, so
// versions and targets share nothing; llmrun does not take images by reference. The same plan under the same name gives the same digest. The plan is verified first.
func (c *Client) PushImage(ctx context.Context, plan *engine.Plan, name string, ref Ref) (*Pushed, error) {
	return c.push(ctx, plan, ref, func(count func(int64)) (*artifact, error) { return assembleImage(ctx, plan, name, count) })
}

// assembleImage makes the artifact of an image.
func assembleImage(ctx context.Context, plan *engine.Plan, name string, count func(int64)) (*artifact, error) {
	layer, err := archive(imageDir+name, plan, plan.Header().FileSize)
	if err != nil {
		return nil, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Size: layer.size()}
	if desc.Digest, err = digestPart(ctx, layer, 0, desc.Size, count); err != nil {
		return nil, err
	}
	config, err := json.Marshal(&ocispec.Image{Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{desc.Digest}}})
	if err != nil {
		return nil, err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: digestOf(ocispec.MediaTypeImageConfig, config),
		Layers:      []ocispec.Descriptor{desc},
		Annotations: map[string]string{planDigestKey: plan.Digest(), ocispec.AnnotationTitle: plan.Info().Name}}
	a := &artifact{seen: map[digest.Digest]bool{}}
	a.add(desc, layer)
	a.add(m.Config, bytes.NewReader(config))
	if a.rootData, err = json.Marshal(&m); err != nil {
		return nil, err
	}
	a.root = digestOf(ocispec.MediaTypeImageManifest, a.rootData)
	return a, nil
}

// archive is a tar with one file, which anybody may read, of no time and no user.
func archive(name string, data io.ReaderAt, size int64) (joined, error) {
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	for _, h := range []*tar.Header{{Typeflag: tar.TypeDir, Name: imageDir, Mode: 0o755}, {Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}} {
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("%s in an image: %w", name, err)
		}
	}
	// A file ends at a whole block, an archive with two empty ones.
	tail := make([]byte, (tarBlock-size%tarBlock)%tarBlock+2*tarBlock)
	return joined{
		io.NewSectionReader(bytes.NewReader(head.Bytes()), 0, int64(head.Len())),
		io.NewSectionReader(data, 0, size),
		io.NewSectionReader(bytes.NewReader(tail), 0, int64(len(tail))),
	}, nil
}

const tarBlock = 512

// joined reads parts as if they followed each other.
type joined []*io.SectionReader

func (j joined) size() (total int64) {
	for _, p := range j {
		total += p.Size()
	}
	return total
}

func (j joined) ReadAt(b []byte, at int64) (n int, err error) {
	for _, p := range j {
		if at >= p.Size() {
			at -= p.Size()
			continue
		}
		k, err := p.ReadAt(b[n:], at)
		if n += k; n == len(b) {
			return n, nil
		}
		if err != nil && err != io.EOF {
			return n, err
		}
		at = 0
	}
	return n, io.EOF
}
