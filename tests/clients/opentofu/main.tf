# A VPC with a public and a private subnet, and a guest in each, by the AWS provider.
terraform {
  required_providers {
    aws = { source = "registry.terraform.io/hashicorp/aws" }
  }
}

variable "image" { default = "tiny-container" }
variable "instance_type" { default = "light" }
variable "prefix" { default = "opentofu" }
variable "public_key" {}

# The address of the cloud and the credentials come from the environment: AWS_ENDPOINT_URL and its like.
provider "aws" {
  default_tags {
    tags = { project = var.prefix }
  }
}

data "aws_availability_zones" "all" {}

data "aws_ami" "guest" {
  most_recent = true
  owners      = ["self", "amazon"]
  filter {
    name   = "name"
    values = [var.image]
  }
}

resource "aws_vpc" "main" {
  cidr_block           = "10.79.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = var.prefix }
}

resource "aws_subnet" "public" {
  vpc_id                  = aws_vpc.main.id
  cidr_block              = "10.79.1.0/24"
  availability_zone       = data.aws_availability_zones.all.names[0]
  map_public_ip_on_launch = true
  tags                    = { Name = "${var.prefix}-public" }
}

resource "aws_subnet" "private" {
  vpc_id            = aws_vpc.main.id
  cidr_block        = "10.79.2.0/24"
  availability_zone = data.aws_availability_zones.all.names[0]
  tags              = { Name = "${var.prefix}-private" }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = var.prefix }
}

resource "aws_eip" "nat" {
  domain     = "vpc"
  depends_on = [aws_internet_gateway.main]
}

resource "aws_nat_gateway" "main" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public.id
  tags          = { Name = var.prefix }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main.id
  }
  tags = { Name = "${var.prefix}-public" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.prefix}-private" }
}

# A route as a resource of its own, beside the routes within the table above: clients write either.
resource "aws_route" "private" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.main.id
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  subnet_id      = aws_subnet.private.id
  route_table_id = aws_route_table.private.id
}

resource "aws_security_group" "public" {
  name        = "${var.prefix}-public"
  description = "ssh from outside"
  vpc_id      = aws_vpc.main.id
  ingress {
    description = "ssh"
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "private" {
  name        = "${var.prefix}-private"
  description = "ssh from the public guest"
  vpc_id      = aws_vpc.main.id
}

# Rules as resources of their own, as the provider's newer documents write them.
resource "aws_vpc_security_group_ingress_rule" "private" {
  security_group_id            = aws_security_group.private.id
  description                  = "ssh"
  ip_protocol                  = "tcp"
  from_port                    = 22
  to_port                      = 22
  referenced_security_group_id = aws_security_group.public.id
}

resource "aws_vpc_security_group_egress_rule" "private" {
  security_group_id = aws_security_group.private.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_key_pair" "main" {
  key_name   = var.prefix
  public_key = var.public_key
}

resource "aws_instance" "public" {
  ami                    = data.aws_ami.guest.id
  instance_type          = var.instance_type
  key_name               = aws_key_pair.main.key_name
  subnet_id              = aws_subnet.public.id
  vpc_security_group_ids = [aws_security_group.public.id]
  tags                   = { Name = "${var.prefix}-public" }
}

resource "aws_instance" "private" {
  ami                    = data.aws_ami.guest.id
  instance_type          = var.instance_type
  key_name               = aws_key_pair.main.key_name
  subnet_id              = aws_subnet.private.id
  vpc_security_group_ids = [aws_security_group.private.id]
  tags                   = { Name = "${var.prefix}-private" }
}

resource "aws_eip" "public" {
  domain   = "vpc"
  instance = aws_instance.public.id
}

output "public_address" { value = aws_eip.public.public_ip }
output "private_address" { value = aws_instance.private.private_ip }
output "nat_address" { value = aws_nat_gateway.main.public_ip }
