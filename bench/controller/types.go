package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "modelops.dev", Version: "v1alpha1"}

// TrainingRun is what this controller needs of a TrainingRun. A write of the status leaves the rest of the spec alone.
type TrainingRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              TrainingRunSpec `json:"spec"`
	Status            Status          `json:"status,omitempty"`
}

// TrainingRunSpec names the data.
type TrainingRunSpec struct {
	DatasetRef struct {
		Name string `json:"name"`
	} `json:"datasetRef"`
}

// Dataset is what this controller needs of a Dataset.
type Dataset struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            Status `json:"status,omitempty"`
}

// Status is what both have.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

func (s *Status) copy() Status {
	return Status{s.ObservedGeneration, append([]metav1.Condition(nil), s.Conditions...)}
}

// TrainingRunList is a list.
type TrainingRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrainingRun `json:"items"`
}

// DatasetList is a list.
type DatasetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Dataset `json:"items"`
}

// DeepCopyObject makes a TrainingRun a runtime.Object.
func (r *TrainingRun) DeepCopyObject() runtime.Object {
	return &TrainingRun{r.TypeMeta, *r.ObjectMeta.DeepCopy(), r.Spec, r.Status.copy()}
}

// DeepCopyObject makes a Dataset a runtime.Object.
func (d *Dataset) DeepCopyObject() runtime.Object {
	return &Dataset{d.TypeMeta, *d.ObjectMeta.DeepCopy(), d.Status.copy()}
}

// DeepCopyObject makes a TrainingRunList a runtime.Object.
func (l *TrainingRunList) DeepCopyObject() runtime.Object {
	items := make([]TrainingRun, len(l.Items))
	for i := range l.Items {
		items[i] = *l.Items[i].DeepCopyObject().(*TrainingRun)
	}
	return &TrainingRunList{l.TypeMeta, *l.ListMeta.DeepCopy(), items}
}

// DeepCopyObject makes a DatasetList a runtime.Object.
func (l *DatasetList) DeepCopyObject() runtime.Object {
	items := make([]Dataset, len(l.Items))
	for i := range l.Items {
		items[i] = *l.Items[i].DeepCopyObject().(*Dataset)
	}
	return &DatasetList{l.TypeMeta, *l.ListMeta.DeepCopy(), items}
}
