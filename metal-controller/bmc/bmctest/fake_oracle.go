package bmctest

import (
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

// On says whether the host is on.
func (b *BMC) On() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle()
	return b.on
}

// SetOn is a person at the power button.
func (b *BMC) SetOn(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on, b.asked = on, false
}

// Follow is the operating system that obeys, if it was asked to switch the host off since it is on.
func (b *BMC) Follow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.on && b.asked {
		b.on, b.asked = false, false
	}
}

// BootNetwork says whether the boot override is the network, by DHCP.
func (b *BMC) BootNetwork() (set, once bool) {
	boot := b.Boot()
	return boot.From == FromNetwork, boot.Once
}

// Boot is the boot override.
func (b *BMC) Boot() Boot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Boot{From: b.bootFrom, URI: b.bootURI, Once: b.bootOnce}
}

// Media is the URI of the image in the drive.
func (b *BMC) Media() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.media
}

// Insert is a person at the BMC's web page.
func (b *BMC) Insert(uri string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.media = uri
}

// Orders counts what asked for a change.
func (b *BMC) Orders() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.orders
}

// Sessions counts what is open.
func (b *BMC) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// MostSessions is the largest number that was open at once.
func (b *BMC) MostSessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mostAtOnce
}

// DropSessions forgets them, as a BMC does that restarts.
func (b *BMC) DropSessions() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.sessions)
}

// Behave changes how it misbehaves.
func (b *BMC) Behave(behaviour Behaviour) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.behaviour = behaviour
}

// Lag delays the effect of power orders from now on.
func (b *BMC) Lag(lag time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lag = lag
}

// SetCredentials changes who is let in.
func (b *BMC) SetCredentials(username string, password bmc.Secret) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.target.Username, b.target.Password = username, password
}

// SetPin changes its certificate.
func (b *BMC) SetPin(pin string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pin = pin
}

// Attempts are the times at which credentials were presented.
func (b *BMC) Attempts() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.attempts...)
}
