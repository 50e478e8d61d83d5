package redisprobe

import (
	"time"

	"go.acu.edu.au/runbook/health"
)

// ParseInfo and Number are the parsers of foreign bytes.
func ParseInfo(text string) map[string]string { return parseInfo(text) }
func Number(text string) (float64, bool)      { return number(text) }

// JudgeText returns what a probe finds in an answer to INFO.
func (p *Prober) JudgeText(text string) health.Result {
	return p.JudgeTextAsked(text, time.Now())
}

// JudgeTextAsked is JudgeText for an INFO that was sent at a time.
func (p *Prober) JudgeTextAsked(text string, asked time.Time) health.Result {
	return p.judge(health.Result{Status: health.Healthy}, parseInfo(text), asked)
}
