package team

import "testing"

// TestShare wants one team for all who ask for as many workers, open until the last has left.
func TestShare(t *testing.T) {
	a, leaveA := Share(1, nil)
	b, leaveB := Share(1, nil)
	if a != b {
		t.Error("two teams of one size")
	}
	leaveA()
	leaveA() // counts once
	ran := false
	b.Run(func(int) { ran = true })
	if !ran {
		t.Error("the team does not work when another user has left")
	}
	leaveB()
	c, leaveC := Share(1, nil)
	defer leaveC()
	if c == a {
		t.Error("a closed team is shared")
	}
}
