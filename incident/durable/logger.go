package durable

import (
	"context"
	"log/slog"
)

// quiet passes on what DBOS logs, one level lower: what it calls an error is something
// that goes on, or that we report ourselves, and its information is for its own makers.
type quiet struct{ slog.Handler }

func lower(l slog.Level) slog.Level {
	switch {
	case l >= slog.LevelError:
		return slog.LevelWarn
	case l >= slog.LevelInfo:
		return slog.LevelDebug
	}
	return l - 4
}

// Enabled implements [slog.Handler].
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(l))
}

// Handle implements [slog.Handler]. It drops the panics by which we leave a step.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	leaving := false
	r.Attrs(func(a slog.Attr) bool {
		_, leaving = a.Value.Any().(leave)
		return !leaving
	})
	if leaving {
		return nil
	}
	r.Level = lower(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements [slog.Handler].
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
