package subscriptions

import (
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// currentLog writes to the log of the config that was started last: the engine
// outlives configs, and with them go the files that they log to.
type currentLog struct{ atomic.Pointer[zap.Logger] }

// newCurrentLog returns a logger that goes on with what is stored in the log.
func newCurrentLog(first *zap.Logger) (*currentLog, *zap.Logger) {
	log := new(currentLog)
	log.Store(first)
	return log, zap.New(log).Named(first.Name())
}

// Enabled implements zapcore.Core, and so do the methods below.
func (l *currentLog) Enabled(level zapcore.Level) bool { return l.Load().Core().Enabled(level) }

// With returns a part of the log as it is now.
func (l *currentLog) With(fields []zapcore.Field) zapcore.Core { return l.Load().Core().With(fields) }

// Check adds the log as it is now.
func (l *currentLog) Check(entry zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return l.Load().Core().Check(entry, to)
}

// Write writes an entry.
func (l *currentLog) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	return l.Load().Core().Write(entry, fields)
}

// Sync flushes the log.
func (l *currentLog) Sync() error { return l.Load().Core().Sync() }

// Interface guard
var _ zapcore.Core = (*currentLog)(nil)
