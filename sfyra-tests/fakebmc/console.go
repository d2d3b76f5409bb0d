package fakebmc

import (
	"context"
	"io"
	"net/http"

	"golang.org/x/net/websocket"
)

// maxFrame bounds one message from a console client.
const maxFrame = 64 << 10

// console bridges the serial console over a WebSocket at /console0, as OpenBMC's bmcweb does. Frames are binary.
// guard has authenticated the request; there is no check of the origin, since browsers are not among its users.
func (b *BMC) console() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(b.ctx)
		defer cancel()
		serial, err := b.config.Machine.Console(ctx)
		if err != nil {
			failMachine(w, err)
			return
		}
		defer serial.Close()
		socket := websocket.Server{
			Handshake: func(*websocket.Config, *http.Request) error { return nil },
			Handler:   func(ws *websocket.Conn) { b.bridge(ctx, ws, serial) },
		}
		socket.ServeHTTP(unwrapped(w), r)
	})
}

// unwrapped gives the writer below the recorder: the WebSocket library takes over its connection.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	if recorder, ok := w.(*statusRecorder); ok {
		recorder.status = http.StatusSwitchingProtocols
		return recorder.ResponseWriter
	}
	return w
}

// bridge copies both ways until either side or the BMC ends.
func (b *BMC) bridge(ctx context.Context, ws *websocket.Conn, serial io.ReadWriteCloser) {
	ws.PayloadType = websocket.BinaryFrame
	ws.MaxPayloadBytes = maxFrame
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() {
		_ = ws.Close()
		_ = serial.Close()
	})
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_, _ = io.Copy(ws, serial) // the end of a console is not an error
	}()
	_, _ = io.Copy(serial, ws)
	cancel()
	<-ended
}
