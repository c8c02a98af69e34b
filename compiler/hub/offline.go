package hub

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"llmc/compiler/hf"
)

// record keeps what was found needed of a commit, so that a snapshot which another program left without some of it is known to be incomplete.
type record struct {
	Files []string `json:"files"` // with weights
}

const maxRecordBytes = 16 << 20

func (r *repo) recordPath() string { return r.folder(".llmc", r.commit+".json") }

// remember notes what a fetch has brought. The cache may be one that nobody may write to: then nothing is noted.
func (r *repo) remember(files []file, need hf.Need) {
	if need == hf.NeedModel {
		rec := record{}
		for _, f := range files {
			rec.Files = append(rec.Files, f.name)
		}
		if text, err := json.Marshal(rec); err == nil {
			_ = writeSmall(r.recordPath(), string(text))
		}
	}
	if !r.ref.pinned() {
		_ = writeSmall(r.folder("refs", filepath.FromSlash(r.ref.Revision)), r.commit)
	}
}

// recorded returns the names that a build with weights needs, nil when that is not known.
func (r *repo) recorded() []string {
	text, err := readSmall(r.recordPath(), maxRecordBytes)
	var rec record
	if err != nil || text == nil || json.Unmarshal(text, &rec) != nil {
		return nil
	}
	return rec.Files
}

// listed returns the names of all files at the commit that the Python client has noted, nil when it has not.
func (r *repo) listed() []string {
	text, err := readSmall(r.folder("trees", r.commit+".json"), maxAnswerBytes)
	var tree struct {
		Version int                 `json:"format_version"`
		Files   map[string]struct{} `json:"files"`
	}
	if err != nil || text == nil || json.Unmarshal(text, &tree) != nil || tree.Version != 1 {
		return nil
	}
	names := []string{}
	for name := range tree.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// complete tells whether a snapshot is known to hold all that is needed.
func (r *repo) complete(need hf.Need) bool {
	names := r.recorded()
	return need == hf.NeedModel && names != nil && r.firstMissing(names) == ""
}

func (r *repo) firstMissing(names []string) string {
	for _, name := range names {
		if checkName(name) != nil || !isFile(r.pointer(name)) {
			return name
		}
	}
	return ""
}

const advice = "run it once without --offline and HF_HUB_OFFLINE"

// offline finds in the cache what is needed.
func (r *repo) offline(need hf.Need) (*Snapshot, error) {
	if r.commit = r.cachedCommit(); r.commit == "" {
		return nil, r.errorf(ErrOffline, "revision %s is not in the cache %s: %s", clip(r.ref.Revision), r.client.Cache, advice)
	}
	have, err := r.present()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.errorf(ErrOffline, "commit %s is not in the cache %s: %s", r.commit, r.client.Cache, advice)
	}
	if err != nil {
		return nil, err
	}
	names, err := r.cachedNeeds(have, need)
	if err != nil {
		return nil, err
	}
	if name := r.firstMissing(names); name != "" {
		return nil, &Error{r.ref.Repo, name, ErrOffline, "is not in the cache, where commit " + r.commit + " is incomplete: " + advice}
	}
	return r.result(), nil
}

// cachedNeeds returns what is needed of the commit, as far as the cache knows: from what a fetch or the Python client noted, else from what is there.
func (r *repo) cachedNeeds(have []string, need hf.Need) ([]string, error) {
	if names := r.recorded(); names != nil && need == hf.NeedModel {
		return names, nil
	}
	all := r.listed()
	known := all != nil
	if !known {
		all = have
	}
	selection, err := hf.Select(all, need)
	if err != nil && !known {
		return nil, r.errorf(ErrOffline, "commit %s is incomplete in the cache (%v): %s", r.commit, err, advice)
	}
	if err != nil {
		return nil, r.refuse(err)
	}
	if selection.Index == "" || !isFile(r.pointer(selection.Index)) {
		return selection.Files, nil
	}
	shards, err := r.named(r.pointer(selection.Index))
	if err != nil {
		return nil, err
	}
	return append(selection.Files, shards...), nil
}

// present lists the files of the snapshot, by their names in the repository.
func (r *repo) present() ([]string, error) {
	root := r.snapshot()
	names := []string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if len(names) >= maxFiles {
			return fs.SkipAll
		}
		if name, err := filepath.Rel(root, path); err == nil && !entry.IsDir() && isFile(path) {
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	return names, err
}
