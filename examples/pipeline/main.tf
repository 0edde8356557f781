# Puts a settings document into Rollcall when it has changed, from a checkout of Rollcall: tests it, and saves it. Where
# the test fails, so does the apply, and the next one tries again.
terraform {
  required_version = ">= 1.10"
}

variable "api_url" {
  type        = string
  description = "Address of the administration API, the output ApiUrl of Rollcall's stack."
}

variable "settings_file" {
  type    = string
  default = "settings.json"
}

variable "administrator_user_name" {
  type    = string
  default = "admin"
}

# Ephemeral: kept neither in a plan nor in the state, and never printed. README.md hands them over from a secret store.
variable "administrator_password" {
  type      = string
  ephemeral = true
}

variable "bind_password" {
  type      = string
  ephemeral = true
}

resource "terraform_data" "settings" {
  # A new bind password alone changes nothing here: terraform apply -replace=terraform_data.settings
  triggers_replace = [var.api_url, filesha256(var.settings_file)]

  provisioner "local-exec" {
    command = "${path.module}/apply-settings.sh \"$SETTINGS_FILE\""
    environment = {
      ROLLCALL_URL      = var.api_url
      ROLLCALL_USER     = var.administrator_user_name
      ROLLCALL_PASSWORD = var.administrator_password
      BIND_PASSWORD     = var.bind_password
      SETTINGS_FILE     = var.settings_file
    }
  }
}
