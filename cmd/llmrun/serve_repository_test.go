package main

import (
	"testing"

	"llmc/internal/clitest"
)

func TestRepositoryRefusals(t *testing.T) {
	plan := buildDemo(t, "")
	for _, c := range []struct {
		exit int
		args []string
		want string
	}{
		{1, []string{"serve", plan, "--model-repository", plan + ".none"}, "no such file"},
		{2, []string{"serve", plan, "--model-control-mode", "explicit"}, "needs --model-repository"},
		{2, []string{"serve", "--model-repository", "d", "--model-control-mode", "magic"}, "must be one of none, explicit, poll"},
		{2, []string{"serve", "--model-repository", "d", "--load-model", "m"}, "--load-model is for --model-control-mode explicit"},
		{2, []string{"serve", "--model-repository", "d", "--repository-poll-secs", "0"}, "--repository-poll-secs is 0"},
		{2, []string{"serve", "--model-repository", "d", "--max-models", "-1"}, "--max-models is -1"},
		{2, []string{"serve", "--model-repository", "d", "--draft", plan}, "a repository has many"},
	} {
		clitest.Run(t, "", c.args...).Refused(t, c.exit, c.want)
	}
}
