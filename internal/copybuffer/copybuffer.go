// Package copybuffer lends proxies the buffers through which bodies are copied.
package copybuffer

import "sync"

const size = 32 << 10

// Pool implements httputil.BufferPool. The zero value is empty.
type Pool struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (p *Pool) Get() []byte {
	if buf, ok := p.pool.Get().(*[size]byte); ok {
		return buf[:]
	}
	return new([size]byte)[:]
}

// Put implements httputil.BufferPool.
func (p *Pool) Put(buf []byte) { p.pool.Put((*[size]byte)(buf)) }
