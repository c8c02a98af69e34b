package dump

import (
	"errors"
	"fmt"

	"llmc/engine"
)

// PTXInfo says what a target's text asks of drivers.
type PTXInfo struct {
	Version string `json:"version"`
	Driver  int    `json:"driver,omitempty"` // the first branch that reads it
	CUDA    string `json:"cuda,omitempty"`   // the first version of CUDA whose drivers read it
}

func (i *PTXInfo) String() string {
	if i.Driver == 0 {
		return "PTX " + i.Version
	}
	return fmt.Sprintf("PTX %s, driver %d or newer (CUDA %s)", i.Version, i.Driver, i.CUDA)
}

// newPTXInfo returns nil for a target whose kernels the plan does not hold.
func newPTXInfo(p *engine.Plan, target string) (*PTXInfo, error) {
	text, err := p.Section(engine.KindPTX, target)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	version, err := engine.VersionOfPTX(text)
	if err != nil {
		return nil, fmt.Errorf("%s: section %s %s: %w", p.Path(), engine.KindPTX, target, err)
	}
	info := &PTXInfo{Version: version.String()}
	if d, ok := engine.DriverFor(version); ok {
		info.Driver, info.CUDA = d.Branch, d.CUDA.String()
	}
	return info, nil
}

// CubinInfo is the assembled code of a target; its hash is that of its section.
type CubinInfo struct {
	Arch      string `json:"arch"`
	Assembler string `json:"ptxas"`
	Bytes     int64  `json:"bytes"`
}

func (i *CubinInfo) String() string { return fmt.Sprintf("for %s by ptxas %s", i.Arch, i.Assembler) }

// newCubinInfo returns nil for a target without one.
func newCubinInfo(p *engine.Plan, target string) (*CubinInfo, error) {
	c, err := p.Cubin(target)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &CubinInfo{c.Arch, c.Assembler, int64(len(c.Image))}, nil
}
