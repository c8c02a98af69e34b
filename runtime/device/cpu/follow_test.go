package cpu

import "testing"

// TestToldSettings refuses what no first rank would tell.
func TestToldSettings(t *testing.T) {
	for _, text := range []string{"", "{}", `{"Pages":1}`, `{"MaxStepTokens":-1,"Pages":1}`, `{"MaxStepTokens":1e9,"Pages":4}`, `{"MaxContext":99999999999,"Pages":4}`, `[1]`} {
		if l, err := decodeSettings([]byte(text)); err == nil {
			t.Errorf("%q is taken: %+v", text, l)
		}
	}
}
