package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// eachOnly puts the one plan of a directory in the directory's place, as a volume has it that was made of a plan's image. What is there beside the plan does not count.
func eachOnly(args []string) ([]string, error) {
	out := make([]string, len(args))
	for i, arg := range args {
		path, err := onlyPlan(arg)
		if err != nil {
			return nil, err
		}
		out[i] = path
	}
	return out, nil
}

func onlyPlan(arg string) (string, error) {
	if info, err := os.Stat(arg); err != nil || !info.IsDir() {
		return arg, nil
	}
	files, err := os.ReadDir(arg)
	if err != nil {
		return "", err
	}
	var plans []string
	for _, f := range files {
		if !f.IsDir() && strings.HasSuffix(f.Name(), ".plan") {
			plans = append(plans, f.Name())
		}
	}
	switch len(plans) {
	case 0:
		return "", fmt.Errorf("%s is a directory without a file called *.plan", arg)
	case 1:
		return filepath.Join(arg, plans[0]), nil
	}
	return "", fmt.Errorf("%s is a directory with %d plans: name one of them, such as %s", arg, len(plans), filepath.Join(arg, plans[0]))
}
