package engine

import (
	"errors"
	"time"

	"ingot.dev/ingot/metal-controller/lifecycle"
)

// bmcMode is how a BMC misbehaves.
type bmcMode string

const (
	honest   bmcMode = ""
	dead     bmcMode = "dead"
	slow     bmcMode = "slow"
	lying    bmcMode = "lying"
	inverted bmcMode = "inverted"
	stale    bmcMode = "stale"
)

var errDead = errors.New("no answer")

// bmcModel is the controller on the main board.
type bmcModel struct {
	m    *machine
	mode bmcMode
	// told is what a stale BMC goes on telling until it looks again.
	told    bool
	toldAt  time.Duration
	command int
	// users are its accounts, from which a login over the network depends.
	users []bmcUser
}

// staleness is how old the readings of a stale BMC get.
const staleness = 4 * time.Minute

// read is what the BMC says of the power.
func (b *bmcModel) read() (bool, error) {
	switch b.mode {
	case dead:
		b.m.w.count(deadReadings)
		return false, errDead
	case inverted:
		b.m.w.count(invertedReadings)
		return !b.m.on, nil
	case stale:
		if b.m.w.now-b.toldAt > staleness {
			b.told, b.toldAt = b.m.on, b.m.w.now
		}
		if b.told != b.m.on {
			b.m.w.count(staleReadings)
		}
		return b.told, nil
	case honest, slow, lying:
	}
	return b.m.on, nil
}

// latency is how long one exchange takes.
func (b *bmcModel) latency() time.Duration {
	if b.mode == slow {
		return b.m.w.hardware.between(20*time.Second, 100*time.Second)
	}
	return b.m.w.hardware.between(200*time.Millisecond, 3*time.Second)
}

// obey carries a command out.
func (b *bmcModel) obey(o order) error {
	if b.mode == dead {
		return errDead
	}
	b.command++
	if b.mode == lying {
		b.m.w.count(commandsIgnored)
		return nil
	}
	m := b.m
	switch o.Kind {
	case lifecycle.EnsurePowerOff:
		if m.on {
			m.w.check.switchedOff(m, o)
			m.switchOff("order " + o.ID)
		}
	case lifecycle.EnsureShutdown:
		m.press(o)
	case lifecycle.EnsurePowerOnFromNetwork:
		if !m.on {
			m.once = true
		}
		m.switchOn("order " + o.ID)
	case lifecycle.EnsurePowerOn:
		m.switchOn("order " + o.ID)
	case lifecycle.NoAction, lifecycle.PublishErase, lifecycle.ReadPower, lifecycle.WithdrawPower, lifecycle.EjectMedia, lifecycle.WritePassport, lifecycle.EmptyPassport,
		lifecycle.KeepAccount, lifecycle.CheckAccount, lifecycle.TakeAccount, lifecycle.ForgetAccount:
	}
	return nil
}
