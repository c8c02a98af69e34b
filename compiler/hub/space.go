package hub

// spareBytes is what a download leaves free.
const spareBytes = 64 << 20

// checkSpace refuses a download that the disk can not take.
func (r *repo) checkSpace(needed int64) error {
	if needed == 0 {
		return nil
	}
	if free := r.client.free(r.client.Cache); needed > free-spareBytes {
		return r.errorf(ErrSpace, "%s are to be downloaded and %s has %s free: make room, or set HF_HUB_CACHE to a directory on another disk",
			freeText(needed), r.client.Cache, freeText(free))
	}
	return nil
}
