package rmcp

import (
	"bufio"
	"context"
	"io"
	"net"
)

// The line over which QEMU's ipmi-bmc-extern gives a guest its system interface (hw/ipmi/ipmi_bmc_extern.c): messages and commands to the virtual machine, each with
// a character at its end that occurs nowhere else.
const (
	lineMessage, lineCommand, lineEscape = 0xa0, 0xa1, 0xaa
	lineEscaped                          = 0x10
	// lineHeader is number, network function with LUN, command and checksum.
	lineHeader = 4
	maxLine    = 300
)

// ServeLine answers the machine behind a listener until ctx ends: what its driver asks in band.
func (b *BMC) ServeLine(ctx context.Context, l net.Listener) {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b.answerLine(ctx, conn)
	}
}

// answerLine serves one connection; QEMU makes one at each start.
func (b *BMC) answerLine(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	in := bufio.NewReader(conn)
	for {
		message, err := readLine(in)
		if err != nil {
			return
		}
		if reply := b.hears(message); reply != nil {
			if _, err := conn.Write(reply); err != nil {
				return
			}
		}
	}
}

// readLine takes a message; what is a command to the virtual machine, or too long, is empty.
func readLine(in io.ByteReader) ([]byte, error) {
	var message []byte
	for {
		c, err := in.ReadByte()
		switch {
		case err != nil:
			return nil, err
		case c == lineMessage:
			return message, nil
		case c == lineCommand:
			return nil, nil
		case c == lineEscape:
			if c, err = in.ReadByte(); err != nil {
				return nil, err
			}
			c &^= lineEscaped
		}
		if message = append(message, c); len(message) > maxLine {
			message = message[:0]
		}
	}
}

// hears answers one message; one that is damaged gets no answer.
func (b *BMC) hears(message []byte) []byte {
	if len(message) < lineHeader || sum(message) != 0 {
		return nil
	}
	netFn, cmd, data := message[1]>>2, message[2], message[3:len(message)-1]
	reply := append([]byte{message[0], (netFn|1)<<2 | message[1]&3, cmd}, b.InBand(netFn, cmd, data)...)
	reply = append(reply, -sum(reply))
	var out []byte
	for _, c := range reply {
		if c == lineMessage || c == lineCommand || c == lineEscape {
			out = append(out, lineEscape)
			c |= lineEscaped
		}
		out = append(out, c)
	}
	return append(out, lineMessage)
}
