// A minimal controller-runtime controller, to compare modelops with: it watches TrainingRuns, reads the Dataset that
// each one names from its cache, and says in the status what modelops says while that Dataset is not pinned.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const reason = "DependencyNotReady"

type reconciler struct{ client.Client }

// Reconcile writes the status of one TrainingRun, if it differs.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var run TrainingRun
	if err := r.Get(ctx, request.NamespacedName, &run); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	message, err := r.waitingFor(ctx, &run)
	if err != nil {
		return ctrl.Result{}, err
	}
	changed := run.Status.ObservedGeneration != run.Generation
	run.Status.ObservedGeneration = run.Generation
	for name, status := range map[string]metav1.ConditionStatus{"Ready": "False", "Reconciling": "True"} {
		condition := metav1.Condition{Type: name, Status: status, Reason: reason, Message: message}
		condition.ObservedGeneration = run.Generation
		changed = meta.SetStatusCondition(&run.Status.Conditions, condition) || changed
	}
	if !changed {
		return ctrl.Result{}, nil
	}
	err = r.Status().Update(ctx, &run)
	if apierrors.IsConflict(err) {
		return ctrl.Result{Requeue: true}, nil
	}
	return ctrl.Result{}, err
}

func (r *reconciler) waitingFor(ctx context.Context, run *TrainingRun) (string, error) {
	name := run.Spec.DatasetRef.Name
	var dataset Dataset
	err := r.Get(ctx, client.ObjectKey{Namespace: run.Namespace, Name: name}, &dataset)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("there is no Dataset %s in namespace %s", name, run.Namespace), nil
	}
	return fmt.Sprintf("Dataset %s is not pinned yet", name), err
}

func start() error {
	ctrl.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(groupVersion, &TrainingRun{}, &TrainingRunList{}, &Dataset{}, &DatasetList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS = -1 // no limit on the client's side: the API server's own fairness is enough, as for modelops
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).
		For(&TrainingRun{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}). // as many threads as modelops has for a kind
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "controller:", err)
		os.Exit(1)
	}
}
