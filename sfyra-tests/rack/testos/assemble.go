package testos

import "encoding/binary"

// assembler collects instructions and fills in the distances to labels.
type assembler struct {
	out    []byte
	labels map[string]int
	shorts []reference
	longs  []reference
}

type reference struct {
	at   int
	name string
}

func (a *assembler) emit(code ...byte) { a.out = append(a.out, code...) }

func (a *assembler) label(name string) {
	if a.labels == nil {
		a.labels = map[string]int{}
	}
	a.labels[name] = len(a.out)
}

// jump emits a jump with a distance of one byte.
func (a *assembler) jump(opcode byte, to string) {
	a.emit(opcode, 0)
	a.shorts = append(a.shorts, reference{len(a.out) - 1, to})
}

// far leaves room for a distance of four bytes.
func (a *assembler) far(to string) {
	a.emit(0, 0, 0, 0)
	a.longs = append(a.longs, reference{len(a.out) - 4, to})
}

func (a *assembler) text(line string) { a.emit(append([]byte("\r\n"+line+"\r\n"), 0)...) }

// print calls the printer for a text.
func (a *assembler) print(text string) {
	a.emit(0x48, 0x8d, 0x35) // lea rsi, [rip+text]
	a.far(text)
	a.emit(0xe8) // call print
	a.far("print")
}

// printer writes the zero-ended text at rsi to the first serial port, byte by
// byte, each once the port can take it (16550: line status bit 5).
func (a *assembler) printer() {
	a.label("print")
	a.emit(0xac, 0x84, 0xc0)       // lodsb; test al, al
	a.jump(0x74, "printed")        // jz printed
	a.emit(0x88, 0xc1)             // mov cl, al
	a.emit(0x66, 0xba, 0xfd, 0x03) // mov dx, 0x3fd
	a.label("busy")
	a.emit(0xec, 0xa8, 0x20)       // in al, dx; test al, 0x20
	a.jump(0x74, "busy")           // jz busy
	a.emit(0x66, 0xba, 0xf8, 0x03) // mov dx, 0x3f8
	a.emit(0x88, 0xc8, 0xee)       // mov al, cl; out dx, al
	a.jump(0xeb, "print")          // jmp print
	a.label("printed")
	a.emit(0xc3) // ret
}

func (a *assembler) finish() []byte {
	for _, r := range a.shorts {
		a.out[r.at] = byte(int8(a.labels[r.name] - (r.at + 1)))
	}
	for _, r := range a.longs {
		binary.LittleEndian.PutUint32(a.out[r.at:], uint32(int32(a.labels[r.name]-(r.at+4))))
	}
	return a.out
}
