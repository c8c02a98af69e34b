package engine

import (
	"fmt"
	"regexp"
	"strconv"
)

// PTXVersion is a version of PTX as 10*major + minor.
type PTXVersion int

// String prints "8.4".
func (v PTXVersion) String() string { return fmt.Sprintf("%d.%d", v/10, v%10) }

// CUDAVersion is a version of CUDA as cuDriverGetVersion gives it: 1000*major + 10*minor.
type CUDAVersion int

// String prints "12.4".
func (v CUDAVersion) String() string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// PTXDriver says what reads a version of PTX: drivers of a CUDA version and later, and the branch of drivers that began with it.
type PTXDriver struct {
	PTX    PTXVersion
	CUDA   CUDAVersion
	Branch int
}

// ptxDrivers are NVIDIA's, from the release notes of PTX ("PTX ISA", section Release Notes) and of CUDA; drivers refuse newer versions outright.
var ptxDrivers = []PTXDriver{
	{70, 11000, 450}, {71, 11010, 455}, {72, 11020, 460}, {73, 11030, 465}, {74, 11040, 470}, {75, 11050, 495}, {76, 11060, 510}, {77, 11070, 515},
	{78, 11080, 520}, {80, 12000, 525}, {81, 12010, 530}, {82, 12020, 535}, {83, 12030, 545}, {84, 12040, 550}, {85, 12050, 555}, {86, 12070, 565},
	{87, 12080, 570}, {88, 12090, 575}, {90, 13000, 580},
}

// DriverFor returns the first drivers that read a version of PTX; false where it is newer than the table.
func DriverFor(v PTXVersion) (PTXDriver, bool) {
	for _, d := range ptxDrivers {
		if d.PTX >= v {
			return d, true
		}
	}
	return PTXDriver{}, false
}

var ptxVersionLine = regexp.MustCompile(`(?m)^[ \t]*\.version[ \t]+(\d{1,2})\.(\d)\s`)

// ptxHead bounds what comes before the version of PTX text: comments.
const ptxHead = 4096

// VersionOfPTX reads the version that PTX text says it is written in.
func VersionOfPTX(text []byte) (PTXVersion, error) {
	m := ptxVersionLine.FindSubmatch(text[:min(len(text), ptxHead)])
	if m == nil {
		return 0, fmt.Errorf("no .version in the first %d bytes of PTX", ptxHead)
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	return PTXVersion(10*major + minor), nil
}
