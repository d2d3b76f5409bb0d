package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

const (
	etcdQuota = 4 << 30 // bytes; etcd refuses writes beyond it
	// defragThreshold is what a defragmentation at start must free, in MiB, to be worth its time.
	defragThreshold = 256
)

// etcd is the running store and the folder of its sockets.
type etcd struct {
	*embed.Etcd
	url     string
	sockets *socketDir
}

// startEtcd runs a single-member etcd. It listens on unix sockets in a folder that only this user can enter, since it asks no one for a password.
func startEtcd(ctx context.Context, dir string, log io.Writer) (*etcd, error) {
	sockets, err := openSocketDir(filepath.Join(dir, "run"))
	if err != nil {
		return nil, err
	}
	client := url.URL{Scheme: "unix", Path: sockets.join(clientSocket)}
	e, err := embed.StartEtcd(etcdConfig(filepath.Join(dir, "etcd"), client, sockets, log))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting etcd: %w", err), sockets.close())
	}
	s := &etcd{Etcd: e, url: client.String(), sockets: sockets}
	select {
	case <-e.Server.ReadyNotify():
		if err = nameSocket(dir, client.Path); err == nil {
			return s, nil
		}
	case err = <-e.Err():
	case <-e.Server.StopNotify():
		err = errors.New("it stopped at once; see the log")
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	return nil, fmt.Errorf("waiting for etcd: %w", err)
}

func etcdConfig(data string, client url.URL, sockets *socketDir, log io.Writer) *embed.Config {
	c := embed.NewConfig()
	c.Name = "ingot"
	c.Dir = data
	peer := url.URL{Scheme: "unix", Path: sockets.join(peerSocket)}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes = etcdQuota
	c.BootstrapDefragThresholdMegabytes = defragThreshold
	c.SnapshotCatchUpEntries = catchUp
	c.UnsafeNoFsync = false // what the API has acknowledged survives a power cut
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(etcdLogger(log))
	return c
}

func etcdLogger(w io.Writer) *zap.Logger {
	e := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(e, zapcore.AddSync(w), zap.WarnLevel), zap.WithFatalHook(fatal{})).Named("etcd")
}

// fatal lets etcd end the process, for example when the disk fails, the way the Kubernetes libraries do, so that one hook can tell the user.
type fatal struct{}

func (fatal) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) { klog.OsExit(1) }

// stop closes the store; what it has acknowledged is on the disk already.
func (e *etcd) stop() {
	e.Close()
	_ = e.sockets.close() // left-over sockets are removed by the next start
}

// hasData tells whether an etcd has ever run on the folder.
func hasData(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, "etcd", "member"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
