// Command life takes an image through its life with gophercloud, on which terraform and
// other Go programs stand: life URL TOKEN <data. It prints what it was told, as JSON.
package main

import (
	"bytes"
	"encoding/json"
	"io/ioutil"
	"log"
	"os"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imagedata"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/members"
	"github.com/gophercloud/gophercloud/pagination"
)

func must(err error) {
	if err != nil {
		log.Fatalf("%T: %v", err, err)
	}
}

func main() {
	url, token := os.Args[1], os.Args[2]
	data, err := ioutil.ReadAll(os.Stdin)
	must(err)
	service := &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: token},
		Endpoint:       url + "/",
		ResourceBase:   url + "/v2/",
	}
	told := map[string]interface{}{}

	shared := images.ImageVisibilityShared
	image, err := images.Create(service, images.CreateOpts{
		Name: "go", Visibility: &shared, DiskFormat: "raw", ContainerFormat: "bare",
		Tags: []string{"linux"}, Properties: map[string]string{"os_distro": "debian"},
	}).Extract()
	must(err)
	told["created"] = image

	must(imagedata.Upload(service, image.ID, bytes.NewReader(data)).ExtractErr())
	uploaded, err := images.Get(service, image.ID).Extract()
	must(err)
	told["uploaded"] = uploaded

	body, err := imagedata.Download(service, image.ID).Extract()
	must(err)
	found, err := ioutil.ReadAll(body)
	must(err)
	told["same"] = bytes.Equal(found, data)

	updated, err := images.Update(service, image.ID, images.UpdateOpts{
		images.ReplaceImageName{NewName: "renamed"},
		images.ReplaceImageTags{NewTags: []string{"stable"}},
		images.UpdateImageProperty{Op: images.AddOp, Name: "hw_disk_bus", Value: "virtio"},
	}).Extract()
	must(err)
	told["updated"] = updated

	member, err := members.Create(service, image.ID, "other").Extract()
	must(err)
	told["member"] = member

	names := []string{}
	pages := images.List(service, images.ListOpts{Limit: 1, Sort: "name:asc"})
	must(pages.EachPage(func(page pagination.Page) (bool, error) {
		listed, err := images.ExtractImages(page)
		for _, one := range listed {
			names = append(names, one.ID)
		}
		return true, err
	}))
	told["listed"] = names

	must(images.Delete(service, image.ID).ExtractErr())
	_, err = images.Get(service, image.ID).Extract()
	_, told["gone"] = err.(gophercloud.ErrDefault404)

	must(json.NewEncoder(os.Stdout).Encode(told))
}
