// Package qmp speaks QEMU's machine protocol: JSON lines over a stream socket.
//
// Layer 2, adapter. The source of the protocol is QEMU's docs/interop/qmp-spec.
//
// Invariants: lines are bounded; a line that cannot be understood ends the
// connection; events are kept in a bounded queue from which the oldest fall
// out, so a client that does not read events never blocks an answer.
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// ErrClosed says that the connection to QEMU is gone, usually with QEMU itself.
var ErrClosed = errors.New("qmp connection is closed")

// maxEvents is how many events wait for a reader.
const maxEvents = 64

// Client is one connection to QEMU. Its methods are safe for concurrent use.
type Client struct {
	conn   net.Conn
	events chan Event
	done   chan struct{}

	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan message
	err     error
}

// New greets QEMU over a connection that is open, and owns it from then on,
// also when it fails. It returns once QEMU accepts commands.
func New(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{
		conn:    conn,
		events:  make(chan Event, maxEvents),
		done:    make(chan struct{}),
		pending: map[uint64]chan message{},
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	if err := c.greet(ctx, lines); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("greeting qemu: %w", err)
	}
	go c.read(lines)
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.Close()
		return nil, fmt.Errorf("greeting qemu: %w", err)
	}
	return c, nil
}

func (c *Client) greet(ctx context.Context, lines *bufio.Scanner) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	if !lines.Scan() {
		return errors.Join(ctx.Err(), scanError(lines))
	}
	m, err := decode(lines.Bytes())
	if err != nil {
		return err
	}
	if m.Greeting == nil {
		return errors.New("the first line is no greeting")
	}
	return nil
}

func scanError(lines *bufio.Scanner) error {
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Execute runs one command and waits for its answer. arguments and result may
// be nil. A refusal is a *CommandError.
func (c *Client) Execute(ctx context.Context, name string, arguments, result any) error {
	id, answer, err := c.send(ctx, name, arguments)
	if err != nil {
		return fmt.Errorf("sending %s: %w", name, err)
	}
	defer c.forget(id)
	select {
	case m := <-answer:
		return settle(name, m, result)
	case <-c.done:
		return fmt.Errorf("waiting for %s: %w", name, c.Err())
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", name, ctx.Err())
	}
}

func settle(name string, m message, result any) error {
	if m.Error != nil {
		m.Error.Command = name
		return m.Error
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.Return, result); err != nil {
		return fmt.Errorf("decoding the answer to %s: %w", name, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, name string, arguments any) (uint64, chan message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.next++
	line, err := json.Marshal(command{Execute: name, Arguments: arguments, ID: c.next})
	if err != nil {
		return 0, nil, err
	}
	deadline, _ := ctx.Deadline() // the zero time means none
	if err := c.conn.SetWriteDeadline(deadline); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return 0, nil, err
	}
	answer := make(chan message, 1)
	c.pending[c.next] = answer
	return c.next, answer, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

func (c *Client) read(lines *bufio.Scanner) {
	defer close(c.events)
	for lines.Scan() {
		m, err := decode(lines.Bytes())
		if err != nil {
			c.fail(err)
			return
		}
		c.deliver(m)
	}
	c.fail(lines.Err())
}

func (c *Client) deliver(m message) {
	if m.Event != "" {
		c.queue(Event{Name: m.Event, Data: m.Data})
		return
	}
	c.mu.Lock()
	answer := c.pending[m.ID]
	delete(c.pending, m.ID)
	c.mu.Unlock()
	if answer != nil {
		answer <- m
	}
}

// queue drops the oldest event when the queue is full. Only read calls it, so
// after one drop there is room.
func (c *Client) queue(e Event) {
	for {
		select {
		case c.events <- e:
			return
		default:
		}
		select {
		case <-c.events:
		default:
		}
	}
}

func (c *Client) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = ErrClosed
		if cause != nil && !errors.Is(cause, net.ErrClosed) {
			c.err = fmt.Errorf("%w: %w", ErrClosed, cause)
		}
		close(c.done)
	}
	_ = c.conn.Close()
}

// Events yields what QEMU reports. It is closed when the connection ends.
func (c *Client) Events() <-chan Event { return c.events }

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the connection ended, nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection. QEMU goes on.
func (c *Client) Close() { c.fail(nil) }

// Status is QEMU's word on the guest: running, paused, shutdown and others
// (QMP reference, RunState).
func (c *Client) Status(ctx context.Context) (string, error) {
	var answer struct {
		Status string `json:"status"`
	}
	if err := c.Execute(ctx, "query-status", nil, &answer); err != nil {
		return "", fmt.Errorf("reading the run state: %w", err)
	}
	return answer.Status, nil
}
