package dump

import (
	"context"
	"fmt"
	"os"

	"llmc/engine"
	"llmc/internal/cubin"
)

// CardSettings say what is predicted.
type CardSettings struct {
	Cards []string // names of engine.Cards; "all" stands for all of them, none for those that a program is the best for
	Steps []Step   // none: DefaultCardSteps
	PTXAS string   // path of an assembler for registers that the plan does not tell; "": what the environment names, if it does
}

// Predict adds to each program of GPUs what it takes on the cards.
func (r *Plan) Predict(ctx context.Context, p *engine.Plan, s CardSettings) error {
	cards, err := s.cards()
	if err != nil {
		return err
	}
	if len(s.Steps) == 0 {
		s.Steps = DefaultCardSteps
	}
	some := false
	for i := range r.Programs {
		report := &r.Programs[i]
		target, err := engine.FindTarget(report.Target)
		if err != nil || report.PTX == nil {
			continue
		}
		var code *CardCode
		for _, card := range cards {
			if !card.Runs(target) || len(s.Cards) == 0 && card.Target != target.Name {
				continue
			}
			if err := report.predictOn(ctx, p, card, &code, &s); err != nil {
				return fmt.Errorf("%s: target %s on %s: %w", p.Path(), target.Name, card.Name, err)
			}
			some = true
		}
	}
	if len(s.Cards) > 0 && !some {
		return fmt.Errorf("%s: no program for %v; the plan's targets are %v", p.Path(), s.Cards, r.Targets)
	}
	return nil
}

// predictOn reads the code where nobody has.
func (r *Program) predictOn(ctx context.Context, p *engine.Plan, card *engine.Card, code **CardCode, s *CardSettings) error {
	if *code == nil {
		program, err := p.Program(r.Function, r.Target)
		if err != nil {
			return err
		}
		if *code, err = readCode(ctx, p, program, s.PTXAS); err != nil {
			return err
		}
	}
	report, err := (*code).On(card, s.Steps)
	if err != nil {
		return err
	}
	r.Cards = append(r.Cards, *report)
	return nil
}

// readCode reads the code of a plan's program. ptxas is CardSettings.PTXAS.
func readCode(ctx context.Context, p *engine.Plan, program *engine.Program, ptxas string) (*CardCode, error) {
	text, err := p.Section(engine.KindPTX, program.Target)
	if err != nil {
		return nil, err
	}
	registers, err := findRegisters(ctx, p, program.Target, string(text), ptxas)
	if err != nil {
		return nil, err
	}
	return NewCardCode(sourceOf(p), program, string(text), *registers), nil
}

func (s *CardSettings) cards() (list []*engine.Card, err error) {
	if len(s.Cards) == 0 || len(s.Cards) == 1 && s.Cards[0] == "all" {
		for i := range engine.Cards {
			list = append(list, &engine.Cards[i])
		}
		return list, nil
	}
	for _, name := range s.Cards {
		card, err := engine.FindCard(name)
		if err != nil {
			return nil, err
		}
		list = append(list, card)
	}
	return list, nil
}

// findRegisters takes the registers of a target's entries from the plan's cubin, else from an assembler if there is one. Else the text bounds them.
func findRegisters(ctx context.Context, p *engine.Plan, target, text, path string) (*Registers, error) {
	if c, err := p.Cubin(target); err == nil {
		of, err := cubin.Registers(c.Image)
		if err != nil {
			return nil, fmt.Errorf("section %s %s: %w", engine.KindCubin, target, err)
		}
		return &Registers{"cubin", of}, nil
	}
	if path == "" && os.Getenv(cubin.Variable) == "" {
		return &Registers{From: atMost}, nil
	}
	all, err := cubin.Find(path)
	if err != nil {
		return nil, err
	}
	a, err := cubin.Choose(all, text)
	if err != nil {
		return nil, err
	}
	image, _, err := a.Assemble(ctx, text)
	if err != nil {
		return nil, err
	}
	of, err := cubin.Registers(image)
	return &Registers{"ptxas " + a.Release, of}, err
}
