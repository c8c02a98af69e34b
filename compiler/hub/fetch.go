package hub

import (
	"context"
	"errors"
	"os"
	"sync"

	"llmc/compiler/hf"
)

// Snapshot is a repository at a commit, on this machine.
type Snapshot struct {
	Repo   string
	Commit string
	Dir    string // holds what was needed, and maybe more
}

// filesAtOnce is how many files are downloaded at a time; large ones have several connections.
const filesAtOnce = 4

// Fetch sees to it that the cache holds what is needed of a repository, and returns where.
func (c *Client) Fetch(ctx context.Context, ref Ref, need hf.Need) (*Snapshot, error) {
	r := &repo{client: c, ref: ref}
	if c.Offline {
		return r.offline(need)
	}
	if ref.pinned() {
		if r.commit = ref.Revision; r.complete(need) {
			return r.result(), nil
		}
	}
	files, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	wanted, err := r.wanted(ctx, files, need)
	if err != nil {
		return nil, err
	}
	if err := r.fetchAll(ctx, wanted); err != nil {
		return nil, err
	}
	// The configuration comes last: where it is, the rest is.
	for _, last := range []bool{false, true} {
		for i := range wanted {
			if f := &wanted[i]; (f.name == hf.ConfigFile || f.name == hf.AdapterConfigFile) == last {
				if err := r.link(f); err != nil {
					return nil, err
				}
			}
		}
	}
	r.remember(wanted, need)
	return r.result(), nil
}

func (r *repo) result() *Snapshot { return &Snapshot{r.ref.Repo, r.commit, r.snapshot()} }

// wanted chooses the files that are needed, and refuses those that can not be taken. An index is downloaded to know what it names.
func (r *repo) wanted(ctx context.Context, files []file, need hf.Need) ([]file, error) {
	byName := map[string]file{}
	var names []string
	for _, f := range files {
		byName[f.name] = f
		names = append(names, f.name)
	}
	selection, err := hf.Select(names, need)
	if err != nil {
		return nil, r.refuse(err)
	}
	var wanted []file
	take := func(name string) error {
		f, ok := byName[name]
		if !ok {
			return &Error{r.ref.Repo, name, ErrNotFound, "is named by " + selection.Index + " and not in the repository"}
		}
		if f.etag == "" {
			if err := r.head(ctx, &f); err != nil {
				return err
			}
		}
		if err := f.check(hf.MaxBytes(name)); err != nil {
			return &Error{r.ref.Repo, name, ErrAnswer, err.Error()}
		}
		wanted = append(wanted, f)
		return nil
	}
	for _, name := range selection.Files {
		if err := take(name); err != nil {
			return nil, err
		}
	}
	if selection.Index == "" {
		return wanted, nil
	}
	shards, err := r.shards(ctx, wanted, selection.Index)
	if err != nil {
		return nil, err
	}
	for _, name := range shards {
		if err := take(name); err != nil {
			return nil, err
		}
	}
	return wanted, nil
}

// refuse says of which repository an error of package hf is.
func (r *repo) refuse(err error) error {
	if e := (*hf.Error)(nil); errors.As(err, &e) {
		return &Error{r.ref.Repo, e.File, e.Err, e.Err.Error()}
	}
	return err
}

// shards downloads the index and returns the files that it names.
func (r *repo) shards(ctx context.Context, wanted []file, index string) ([]string, error) {
	for i := range wanted {
		if f := &wanted[i]; f.name == index {
			if err := r.fetch(ctx, f, nil); err != nil {
				return nil, err
			}
			return r.named(r.blob(f.etag))
		}
	}
	return nil, nil
}

// named returns the files that the index at path names.
func (r *repo) named(path string) ([]string, error) {
	text, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	shards, err := hf.Shards(text)
	if err != nil {
		return nil, r.refuse(err)
	}
	return shards, nil
}

// fetchAll downloads the blobs that are not there.
func (r *repo) fetchAll(ctx context.Context, wanted []file) error {
	var missing []*file
	seen := map[string]bool{}
	total, needed := int64(0), int64(0)
	for i := range wanted {
		f := &wanted[i]
		if path := r.blob(f.etag); !seen[f.etag] && !hasSize(path, f.size) {
			missing = append(missing, f)
			total += f.size
			needed += max(0, f.size-partialBytes(path+".llmc"+partialSuffix))
		}
		seen[f.etag] = true
		if total > maxTotalBytes {
			return r.errorf(ErrAnswer, "more than %s are listed", freeText(maxTotalBytes))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := r.checkSpace(needed); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	task := r.client.Progress.Start("downloading "+r.ref.Repo, total)
	defer task.Stop()
	todo := make(chan *file, len(missing))
	for _, f := range missing {
		todo <- f
	}
	close(todo)
	var group sync.WaitGroup
	for range min(filesAtOnce, len(missing)) {
		group.Go(func() {
			for f := range todo {
				if err := r.fetch(ctx, f, task); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	task.Done()
	return nil
}
