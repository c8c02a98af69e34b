package buildcache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Key names what is made from something, which json.Marshal has to tell apart from everything else.
func Key(from any) (string, error) {
	data, err := json.Marshal(from)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
