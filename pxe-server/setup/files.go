package setup

import (
	"context"
	"path/filepath"
	"time"

	"ingot.dev/ingot/boot-assets/blobs"
	"ingot.dev/ingot/boot-assets/pace"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// AssetsDir is where the boot files of Environments are, in the state folder.
const AssetsDir = "assets"

// When the controller is told of boot files: every change, but not more often than reportPause; all of it again every reportAgain, so that one that
// forgot learns of it; and after a failure ever more slowly, up to longestPause.
const (
	reportPause  = 2 * time.Second
	longestPause = 30 * time.Second
	reportAgain  = 5 * time.Minute
	reportTime   = 10 * time.Second
)

// OpenAssets opens the boot files in the state folder of a Config, within its limits. It needs no pxe-server, and one may run on the folder meanwhile.
func OpenAssets(c Config) (*blobs.Cache, error) {
	return blobs.Open(blobs.Config{Dir: filepath.Join(c.StateDir, AssetsDir), MaxFile: c.MaxAsset, Budget: c.AssetBudget, Log: c.Log, Now: c.Now})
}

// view is what the controller said last, and what is at hand of it.
func (s *server) view() (boot.View, bool) {
	v, ok := s.client.View()
	v.AtHand = s.blobs.Phases()
	return v, ok
}

// followFiles hands the files of every view to the cache.
func (s *server) followFiles(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.client.Changed():
		}
		v, _ := s.client.View()
		wanted := make([]blobs.Wanted, 0, len(v.Files))
		for digest, f := range v.Files {
			wanted = append(wanted, blobs.Wanted{SHA256: digest, URL: f.URL})
		}
		s.blobs.Want(wanted)
	}
}

// reportFiles tells the controller how the files fare.
func (s *server) reportFiles(ctx context.Context) error {
	again := time.NewTicker(reportAgain)
	defer again.Stop()
	for pause, failed := reportPause, false; ; {
		if !failed {
			select {
			case <-ctx.Done():
				return nil
			case <-s.blobs.Changed():
			case <-s.client.Connected():
			case <-again.C:
			}
		}
		if failed = !s.reportOnce(ctx); !failed {
			pause = reportPause
		}
		if !pace.Wait(ctx, pause) {
			return nil
		}
		if failed {
			pause = min(2*pause, longestPause)
		}
	}
}

// reportOnce is true when the controller took the report, or has not said yet what it wants.
func (s *server) reportOnce(ctx context.Context) bool {
	if _, ok := s.client.View(); !ok {
		return true
	}
	var states []*protocol.AssetState
	for _, st := range s.blobs.States() {
		states = append(states, &protocol.AssetState{
			Sha256: st.SHA256, State: st.Phase, ReceivedBytes: st.Received, TotalBytes: st.Total, Message: st.Message, OtherBytes: st.OtherBytes,
		})
	}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	err := s.client.ReportFiles(ctx, states)
	if err != nil {
		s.cfg.Log.Warn("the controller did not take how boot files fare", "error", err)
	}
	return err == nil
}
